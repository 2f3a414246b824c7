package dev.exile.agent;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A YAML file of two levels at most, read token by token: data binding would stop at the first
 * problem and forget the lines.
 */
final class YamlFile {
  private YamlFile() {}

  /**
   * A key with its value.
   *
   * @param line in the file, from 1
   * @param value as written, empty where there is none
   * @param children of a map; null where the value is a single one
   */
  record Entry(String key, int line, String value, List<Entry> children, boolean failed) {
    Entry asEmpty() {
      return new Entry(key, line, "", null, true);
    }

    String requireValue() {
      if (children != null || value.isBlank()) {
        throw new IllegalArgumentException("has no value");
      }
      return value;
    }
  }

  static List<Entry> read(Path file) throws ConfigException {
    try (JsonParser parser = new YAMLFactory().createParser(Files.readString(file))) {
      JsonToken first = parser.nextToken();
      if (first == null) {
        return List.of();
      }
      if (first != JsonToken.START_OBJECT) {
        throw problem(file + ":1: must be a map of KEY: VALUE lines");
      }
      return map(parser, file);
    } catch (JsonProcessingException e) {
      int line = e.getLocation() == null ? 1 : e.getLocation().getLineNr();
      String what = e.getOriginalMessage().lines().findFirst().orElse("");
      throw problem(file + ":" + line + ": is no YAML: " + what);
    } catch (NoSuchFileException e) {
      throw problem(file + " is missing: name the agent's configuration with --config");
    } catch (AccessDeniedException e) {
      throw problem(file + " cannot be read: run as root");
    } catch (IOException e) {
      throw problem("cannot read " + file + ": " + e);
    }
  }

  /** Reads the entries of a map whose start has been read. */
  private static List<Entry> map(JsonParser parser, Path file) throws IOException, ConfigException {
    List<Entry> entries = new ArrayList<>();
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      int line = parser.currentTokenLocation().getLineNr();
      JsonToken token = parser.nextToken();
      if (token == JsonToken.START_OBJECT) {
        entries.add(new Entry(key, line, "", map(parser, file), false));
      } else if (token == JsonToken.START_ARRAY) {
        throw problem(
            file
                + ":"
                + line
                + ": "
                + key
                + ": must not be a list; put an address with brackets in quotes, \"[IPV6]:PORT\"");
      } else {
        String value = token == JsonToken.VALUE_NULL ? "" : parser.getText();
        entries.add(new Entry(key, line, value, null, false));
      }
    }
    return entries;
  }

  private static ConfigException problem(String line) {
    return new ConfigException(List.of(line));
  }
}
