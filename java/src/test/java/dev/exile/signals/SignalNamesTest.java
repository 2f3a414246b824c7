package dev.exile.signals;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SignalNamesTest {
  @ParameterizedTest
  @CsvSource({
    "1, SIGHUP",
    "9, SIGKILL",
    "15, SIGTERM",
    "31, SIGSYS",
    "32, signal 32",
    "34, SIGRTMIN",
    "64, SIGRTMIN+30"
  })
  void numbersHaveTheirNames(int number, String name) {
    assertEquals(name, SignalNames.of(number));
  }
}
