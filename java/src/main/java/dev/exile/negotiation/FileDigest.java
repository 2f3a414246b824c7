package dev.exile.negotiation;

import dev.exile.rpc.peer.FileNeed;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Build-ids and hashes of files, by which two hosts tell whether they have the same one. Hashes are
 * remembered as long as inode, size and time of the file stay as they were.
 */
public final class FileDigest {
  private static final int NT_GNU_BUILD_ID = 3;
  private static final int PT_NOTE = 4;

  private final Map<Version, String> hashes = new ConcurrentHashMap<>();

  private record Version(Path path, Object key, long size, FileTime modified) {}

  /** The file's SHA-256 in hex. */
  public String sha256(Path file) throws IOException {
    var attributes = Files.readAttributes(file, java.nio.file.attribute.BasicFileAttributes.class);
    Version version =
        new Version(file, attributes.fileKey(), attributes.size(), attributes.lastModifiedTime());
    String known = hashes.get(version);
    if (known == null) {
      known = hash(file);
      hashes.put(version, known);
    }
    return known;
  }

  private static String hash(Path file) throws IOException {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
    try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
      byte[] buffer = new byte[1 << 18];
      while (in.read(buffer) >= 0) {
        // the stream feeds the digest
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /** The GNU build-id of a 64-bit ELF file in hex, empty where it has none or is no such file. */
  public static String buildId(Path file) throws IOException {
    byte[] head = new byte[1 << 16];
    int length;
    try (InputStream in = Files.newInputStream(file)) {
      length = in.readNBytes(head, 0, head.length);
    }
    ByteBuffer elf = ByteBuffer.wrap(head, 0, length).order(ByteOrder.LITTLE_ENDIAN);
    if (length < 64 || elf.getInt(0) != 0x464c457f || elf.get(4) != 2) {
      return "";
    }
    // Whatever the file says is checked: anybody's program is looked at here.
    long table = elf.getLong(32);
    int entrySize = Short.toUnsignedInt(elf.getShort(54));
    int entries = Short.toUnsignedInt(elf.getShort(56));
    for (int i = 0; i < entries; i++) {
      long at = table + (long) i * entrySize;
      if (at < 0 || at > length - 56) {
        return "";
      }
      if (elf.getInt((int) at) == PT_NOTE) {
        String id = buildIdIn(elf, elf.getLong((int) at + 8), elf.getLong((int) at + 32), length);
        if (!id.isEmpty()) {
          return id;
        }
      }
    }
    return "";
  }

  private static String buildIdIn(ByteBuffer elf, long from, long size, int length) {
    if (from < 0 || from > length || size < 0) {
      return "";
    }
    long end = Math.min(length, from + Math.min(size, length));
    long at = from;
    while (at + 12 <= end) {
      long nameSize = Integer.toUnsignedLong(elf.getInt((int) at));
      long contentSize = Integer.toUnsignedLong(elf.getInt((int) at + 4));
      int type = elf.getInt((int) at + 8);
      long content = at + 12 + ((nameSize + 3) & ~3);
      if (type == NT_GNU_BUILD_ID && content + contentSize <= end) {
        byte[] id = new byte[(int) contentSize];
        elf.get((int) content, id);
        return HexFormat.of().formatHex(id);
      }
      at = content + ((contentSize + 3) & ~3);
    }
    return "";
  }

  /** The file as it stands on this host, for the other host to compare. */
  public FileNeed need(Path file, boolean executable, boolean content) throws IOException {
    FileNeed.Builder need =
        FileNeed.newBuilder().setPath(file.toString()).setExecutable(executable);
    if (Files.isDirectory(file)) {
      return need.setDirectory(true).setSize(-1).build();
    }
    need.setSize(Files.size(file));
    if (content) {
      need.setBuildId(buildId(file)).setSha256(sha256(file));
    }
    return need.build();
  }
}
