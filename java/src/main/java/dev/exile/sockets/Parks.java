package dev.exile.sockets;

import dev.exile.shim.Shim;
import io.netty.channel.EventLoopGroup;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Where the {@link Park}s of a host are.
 *
 * @param shim holds what is parked
 * @param directory the agent's run directory, which only root may enter
 * @param loops event loops with epoll
 */
public record Parks(Shim shim, Path directory, EventLoopGroup loops) {
  /** The park of that name, with all that a former agent has left in it. */
  public Park open(String name) throws IOException {
    return Park.open(shim, path(name), loops);
  }

  /** Ends the park of that name, which nobody has open; what is in it is let go. */
  public void end(String name) throws IOException {
    Park.end(path(name), loops);
  }

  private Path path(String name) {
    return directory.resolve(name + ".park");
  }
}
