package dev.exile.it;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Runs programs to their end, within a time. */
final class Commands {
  /** Far more than any command of the tests takes on a loaded machine. */
  static final Duration LIMIT = Duration.ofMinutes(2);

  private Commands() {}

  /** How a program ended and what it wrote. */
  record Result(List<String> command, int exit, String out, String err) {
    /** This result, where success was the only acceptable one. */
    Result orFail() {
      if (exit != 0) {
        throw new AssertionError(toString());
      }
      return this;
    }

    @Override
    public String toString() {
      return "%s: exit code %d%nout: %s%nerr: %s"
          .formatted(String.join(" ", command), exit, out.strip(), err.strip());
    }
  }

  static Result run(Map<String, String> environment, List<String> command) {
    return await(start(environment, command), command);
  }

  static Process start(Map<String, String> environment, List<String> command) {
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().putAll(environment);
    try {
      return builder.start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static Result await(Process process, List<String> command) {
    CompletableFuture<String> out = text(process.getInputStream());
    CompletableFuture<String> err = text(process.getErrorStream());
    try {
      process.getOutputStream().close();
      if (!process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
        process.destroy();
        throw new AssertionError("still running after " + LIMIT + ": " + command);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
    return new Result(command, process.exitValue(), out.join(), err.join());
  }

  private static CompletableFuture<String> text(InputStream stream) {
    return CompletableFuture.supplyAsync(
        () -> {
          try (stream) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
          } catch (IOException e) {
            return e.toString();
          }
        });
  }
}
