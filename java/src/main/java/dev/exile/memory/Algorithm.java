package dev.exile.memory;

import java.io.IOException;

/**
 * How an address space travels: one of the families that the paper's section 1 names. Each step is
 * called once, in this order.
 */
public interface Algorithm {
  /** As operators write it, such as total-copy. */
  String name();

  /** Step 2, primary migration: what travels while the process still runs. */
  void whileRunning(Journey journey) throws IOException, InterruptedException;

  /** In the freeze: writes the images of what has not travelled yet. */
  void dump(Journey journey) throws IOException, InterruptedException;

  /** In the freeze: sends those images; on return the destination has them. */
  void transfer(Journey journey) throws IOException, InterruptedException;

  /**
   * The algorithm of that name.
   *
   * @throws IllegalArgumentException where there is none, naming those that there are
   */
  static Algorithm named(String name) {
    if (name.isEmpty() || name.equals(TotalCopy.NAME)) {
      return new TotalCopy();
    }
    throw new IllegalArgumentException(
        "no algorithm is called '" + name + "'; there is: " + TotalCopy.NAME);
  }
}
