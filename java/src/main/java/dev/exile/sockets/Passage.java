package dev.exile.sockets;

import com.google.protobuf.ByteString;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;

/**
 * What of a relayed connection is under way on a host that the process leaves: what its two local
 * sockets hold, and where that stands in the connection. Offsets count from the freeze at home.
 *
 * @param name as home uses it
 * @param written bytes from home that the relay's socket has taken
 * @param shut whether their end has been passed on as well
 * @param consumed bytes from the process that home has
 * @param down what of {@code written} the process has not read
 * @param up what the process has written beyond {@code consumed}
 * @param reset whether the process is to see that it was reset
 * @param held whether the process still has its socket; else it has closed it
 */
record Passage(
    String name,
    long written,
    boolean shut,
    long consumed,
    ByteString down,
    ByteString up,
    boolean held,
    boolean reset) {

  /** How a fresh connection's note has to be for it to count on from here. */
  ParkNote noteFrom(ParkNote fresh) {
    return new ParkNote(
        fresh.written() - (written - down.size()), fresh.consumed() - consumed, fresh.listener());
  }

  void write(DataOutputStream out) throws IOException {
    out.writeUTF(name);
    out.writeLong(written);
    out.writeBoolean(shut);
    out.writeLong(consumed);
    out.writeInt(down.size());
    down.writeTo(out);
    out.writeInt(up.size());
    up.writeTo(out);
    out.writeBoolean(held);
    out.writeBoolean(reset);
  }

  static Passage read(DataInputStream in) throws IOException {
    String name = in.readUTF();
    long written = in.readLong();
    boolean shut = in.readBoolean();
    long consumed = in.readLong();
    ByteString down = ByteString.copyFrom(in.readNBytes(in.readInt()));
    ByteString up = ByteString.copyFrom(in.readNBytes(in.readInt()));
    return new Passage(name, written, shut, consumed, down, up, in.readBoolean(), in.readBoolean());
  }
}
