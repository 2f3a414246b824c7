package dev.exile.sockets;

import com.google.protobuf.ByteString;

/**
 * The near end of a stream's wire on a host that the process leaves: the relay's socket is its far
 * end, and a pipe that leads to the process is behind it. Nothing moves in any of them.
 *
 * @param fd the near end
 * @param up whether bytes come from the process
 * @param held whether the process still has its end of the pipe
 * @param piped what the pipe holds
 */
public record Wire(int fd, boolean up, boolean held, ByteString piped) {
  /** What is in the pipe on its way to the process. */
  ByteString below() {
    return up ? ByteString.EMPTY : piped;
  }

  /** What is in the pipe on its way from it. */
  ByteString above() {
    return up ? piped : ByteString.EMPTY;
  }
}
