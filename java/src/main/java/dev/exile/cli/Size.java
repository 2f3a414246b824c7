package dev.exile.cli;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * A number of bytes as operators write it: 4096, 64K, 16M, 2G; powers of 1024.
 *
 * @param bytes at least 1, or 0 for none
 */
record Size(long bytes) {
  static final Size NONE = new Size(0);

  private static final Pattern FORM = Pattern.compile("([0-9]{1,9})([KMGkmg]?)");

  /** Reads one. */
  static final class Converter implements ITypeConverter<Size> {
    @Override
    public Size convert(String text) {
      Matcher matcher = FORM.matcher(text);
      long number = matcher.matches() ? Long.parseLong(matcher.group(1)) : 0;
      if (number == 0) {
        throw new TypeConversionException(
            "'" + text + "' is no size; write a number with K, M or G, such as 64M");
      }
      int shift =
          switch (matcher.group(2).toUpperCase(java.util.Locale.ROOT)) {
            case "K" -> 10;
            case "M" -> 20;
            case "G" -> 30;
            default -> 0;
          };
      return new Size(number << shift);
    }
  }
}
