package dev.exile.negotiation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.rpc.peer.FileNeed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileDigestTest {
  private static final int NOTES = 256;
  private static final int NT_GNU_ABI_TAG = 1;
  private static final int NT_GNU_BUILD_ID = 3;

  @TempDir private Path temp;

  /** A 64-bit ELF file with one program header of type PT_NOTE. */
  private static ByteBuffer elf(byte[]... notes) {
    ByteBuffer file = ByteBuffer.allocate(1024).order(ByteOrder.LITTLE_ENDIAN);
    file.putInt(0, 0x464c457f).put(4, (byte) 2);
    file.putLong(32, 64).putShort(54, (short) 56).putShort(56, (short) 1);
    int size = 0;
    for (byte[] note : notes) {
      file.put(NOTES + size, note);
      size += note.length;
    }
    file.putInt(64, 4).putLong(64 + 8, NOTES).putLong(64 + 32, size);
    return file;
  }

  private static byte[] note(int type, byte... content) {
    ByteBuffer note =
        ByteBuffer.allocate(16 + ((content.length + 3) & ~3)).order(ByteOrder.LITTLE_ENDIAN);
    note.putInt(4).putInt(content.length).putInt(type);
    note.put("GNU\0".getBytes(StandardCharsets.US_ASCII)).put(content);
    return note.array();
  }

  private Path write(ByteBuffer content) throws IOException {
    byte[] bytes = new byte[content.capacity()];
    content.get(0, bytes);
    return Files.write(temp.resolve("file"), bytes);
  }

  @Test
  void buildIdIsFoundBehindOtherNotes() throws IOException {
    ByteBuffer file =
        elf(
            note(NT_GNU_ABI_TAG, (byte) 1, (byte) 2, (byte) 3),
            note(NT_GNU_BUILD_ID, (byte) 0xde, (byte) 0xad, (byte) 0xbe, (byte) 0xef));
    assertEquals("deadbeef", FileDigest.buildId(write(file)));
  }

  @Test
  void fileWithoutBuildIdHasNone() throws IOException {
    assertEquals("", FileDigest.buildId(write(elf(note(NT_GNU_ABI_TAG, (byte) 1)))));
    assertEquals("", FileDigest.buildId(write(elf())));
    assertEquals("", FileDigest.buildId(write(ByteBuffer.allocate(0))));
    assertEquals("", FileDigest.buildId(Files.writeString(temp.resolve("sh"), "#!/bin/sh\n")));
  }

  @Test
  void realProgramsHaveTheOneThatReadelfTells() throws IOException {
    Path program = Path.of("/bin/sleep").toRealPath();
    Process readelf = new ProcessBuilder("readelf", "-n", program.toString()).start();
    String said = new String(readelf.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    String buildId = FileDigest.buildId(program);
    assertTrue(said.contains("Build ID: " + buildId) && buildId.length() == 40, buildId);
  }

  /** Any user's program is looked at by an agent that is root. */
  @Test
  void nonsenseInAFileDoesNoHarm() throws IOException {
    Random random = new Random(1);
    byte[] note = note(NT_GNU_BUILD_ID, (byte) 1, (byte) 2);
    for (int i = 0; i < 2_000; i++) {
      ByteBuffer file = elf(note);
      for (int field : new int[] {32, 56, 64 + 8, 64 + 32, NOTES, NOTES + 4}) {
        if (random.nextInt(3) == 0) {
          file.putInt(field, random.nextInt());
        }
        if (random.nextInt(9) == 0) {
          file.putInt(field + 4, random.nextInt());
        }
      }
      FileDigest.buildId(write(file));
    }
  }

  @Test
  void hashIsThatOfSha256sum() throws IOException {
    Path file = Files.writeString(temp.resolve("abc"), "abc");
    assertEquals(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        new FileDigest().sha256(file));
  }

  @Test
  void hashOfAFileThatHasChangedIsTakenAnew() throws IOException {
    FileDigest digests = new FileDigest();
    Path file = Files.writeString(temp.resolve("file"), "one");
    String before = digests.sha256(file);
    FileTime time = Files.getLastModifiedTime(file);
    assertEquals(before, digests.sha256(file));

    Path other = Files.writeString(temp.resolve("other"), "two");
    Files.setLastModifiedTime(other, time);
    Files.move(other, file, java.nio.file.StandardCopyOption.REPLACE_EXISTING);

    assertNotEquals(before, digests.sha256(file), "same size, same time, another inode");
  }

  @Test
  void needTellsWhatTheOtherHostIsToCompare() throws IOException {
    FileDigest digests = new FileDigest();
    FileNeed directory = digests.need(temp, false, false);
    assertTrue(directory.getDirectory());

    Path file = Files.writeString(temp.resolve("file"), "12345");
    FileNeed sizeOnly = digests.need(file, false, false);
    assertEquals(5, sizeOnly.getSize());
    assertEquals("", sizeOnly.getSha256());
    FileNeed executable = digests.need(file, true, true);
    assertTrue(executable.getExecutable());
    assertEquals(digests.sha256(file), executable.getSha256());
  }
}
