package dev.exile.sockets;

import java.io.IOException;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.ToIntFunction;

/** Tells what a running process has for a while from what comes and goes. */
final class Lasting {
  private static final int LOOKS = 4;
  private static final long LOOK_AGAIN_MILLIS = 50;

  private Lasting() {}

  /** One look at it. */
  interface Look<T> {
    List<T> now() throws IOException;
  }

  /**
   * What is seen at each of several looks within 150 ms; where the first sees nothing there is no
   * other.
   *
   * @param key tells one from the other
   */
  static <T> List<T> of(Look<T> look, ToIntFunction<T> key)
      throws IOException, InterruptedException {
    List<T> lasting = look.now();
    for (int i = 1; i < LOOKS && !lasting.isEmpty(); i++) {
      Thread.sleep(LOOK_AGAIN_MILLIS);
      Set<Integer> again = new HashSet<>();
      look.now().forEach(one -> again.add(key.applyAsInt(one)));
      lasting = lasting.stream().filter(one -> again.contains(key.applyAsInt(one))).toList();
    }
    return lasting;
  }
}
