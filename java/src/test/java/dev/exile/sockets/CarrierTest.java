package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.handler.ssl.SslContext;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(value = 30, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class CarrierTest {
  @TempDir Path directory;
  private Path images;
  private RelayFixture fixture;

  @BeforeEach
  void open() throws IOException {
    images = Files.createDirectory(directory.resolve("images"));
    fixture = new RelayFixture(images);
  }

  @AfterEach
  void close() throws IOException {
    fixture.close();
  }

  @Test
  void aFileArrivesWhole() throws Exception {
    for (int size : new int[] {0, 1, 16_384, 30_000_001}) {
      Path file = file(size);
      AtomicLong progress = new AtomicLong();
      String name = "pages-" + size + ".img";
      assertEquals(size, send(fixture.carrier, RelayFixture.MIGRATION, name, file, progress).get());
      assertEquals(-1, Files.mismatch(file, images.resolve(name)));
      assertEquals(size, progress.get());
      assertEquals(
          "rw-------",
          PosixFilePermissions.toString(Files.getPosixFilePermissions(images.resolve(name))));
    }
  }

  @Test
  void manyFilesTravelAtOnce() throws Exception {
    Path file = file(3_000_000);
    List<CompletableFuture<Long>> all = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      all.add(send(fixture.carrier, RelayFixture.MIGRATION, "f" + i, file, new AtomicLong()));
    }
    for (int i = 0; i < 40; i++) {
      assertEquals(3_000_000, all.get(i).get());
      assertEquals(-1, Files.mismatch(file, images.resolve("f" + i)));
    }
  }

  @Test
  void aFileOfAnUnknownMigrationIsRefused() throws Exception {
    assertRefused("404", fixture.carrier, "other", "pages.img", file(1000));
  }

  @Test
  void aNameThatLeavesTheDirectoryIsRefused() throws Exception {
    Path file = file(1000);
    for (String name : new String[] {"../escape", "..", ".", "a/b", "a b", "a%2Fb"}) {
      assertRefused("400", fixture.carrier, RelayFixture.MIGRATION, name, file);
    }
    assertFalse(Files.exists(directory.resolve("escape")));
  }

  @Test
  void aFileFromAnotherHostIsRefused() throws Exception {
    try (Carrier stranger = fixture.connect("c")) {
      assertRefused("403", stranger, RelayFixture.MIGRATION, "pages.img", file(1000));
    }
  }

  @Test
  void aFileThatExistsIsNotOverwritten() throws Exception {
    Path file = file(1_000_000);
    send(fixture.carrier, RelayFixture.MIGRATION, "once", file, new AtomicLong()).get();
    Exception refusal =
        assertThrows(
            ExecutionException.class,
            () ->
                send(fixture.carrier, RelayFixture.MIGRATION, "once", file, new AtomicLong())
                    .get());
    assertTrue(refusal.getMessage().contains("409"), refusal.getMessage());
    assertEquals(-1, Files.mismatch(file, images.resolve("once")));
  }

  @Test
  void moreBytesThanTheMigrationMaySendAreRefused() throws Exception {
    fixture.server.register("small", "a", images, fixture.destination, 1_500_000);
    Path file = file(1_000_000);
    assertEquals(1_000_000, send(fixture.carrier, "small", "first", file, new AtomicLong()).get());
    assertRefused("413", fixture.carrier, "small", "second", file);
  }

  @Test
  void aDirectoryThatCannotBeWrittenIsTold() throws Exception {
    Path gone = Files.createDirectory(directory.resolve("gone"));
    fixture.server.register("disk", "a", gone, fixture.destination, 1 << 30);
    Files.delete(gone);
    Exception refusal =
        assertThrows(
            ExecutionException.class,
            () -> send(fixture.carrier, "disk", "x", file(20_000_000), new AtomicLong()).get());
    assertTrue(refusal.getMessage().contains("507"), refusal.getMessage());
  }

  @Test
  void aLostCarrierFailsTheFileAndRemovesWhatHasCome() throws Exception {
    Path file = directory.resolve("large");
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(2_000_000_000);
    }
    fixture.server.register("large", "a", images, fixture.destination, Long.MAX_VALUE);
    AtomicLong progress = new AtomicLong();
    CompletableFuture<Long> sending = send(fixture.carrier, "large", "cut", file, progress);
    while (progress.get() == 0) {
      Thread.sleep(1);
    }
    fixture.carrier.close();
    assertThrows(ExecutionException.class, sending::get);
    assertTrue(fixture.carrier.closed().isDone());
    while (Files.exists(images.resolve("cut"))) {
      Thread.sleep(5);
    }
  }

  @Test
  void aSocketOfAnUnknownMigrationOrAnotherHostIsNotTaken() throws Exception {
    assertNotTaken(RelayFixture.MIGRATION, fixture.connect("c"));
    assertNotTaken("unknown", fixture.carrier);
    assertEquals(0, fixture.destination.stats().opened());
  }

  /** It is not reset either: the destination may know better when it is asked again. */
  private void assertNotTaken(String migration, Carrier over) throws Exception {
    try (SocketChannel client = SocketChannel.open(fixture.frozen.address())) {
      try (HomeRelay home = fixture.newHome(migration, "other", over)) {
        home.adoptConnection("1", FrozenSockets.duplicate(fixture.frozen.accept()));
        home.start(over);
        over.closed().get();
        assertEquals(0, home.stats().resets());
      }
      assertReset(client);
    }
  }

  @Test
  void aPeerOfAnotherAuthorityIsRefused() throws Exception {
    assertNoCarrier("b", new TestCertificates().client("a"));
  }

  @Test
  void aPeerWithoutCertificateIsRefused() throws Exception {
    assertNoCarrier("b", fixture.authority.anonymousClient());
  }

  @Test
  void aPeerWithAnOldProtocolIsRefused() throws Exception {
    assertNoCarrier("b", fixture.authority.oldClient("a"));
  }

  @Test
  void aDestinationWithAnotherNameIsRefused() throws Exception {
    assertNoCarrier("c", fixture.authority.client("a"));
  }

  @Test
  void garbageInsteadOfTlsChangesNothing() throws Exception {
    InetSocketAddress address = fixture.server.address();
    try (Socket socket = new Socket(address.getAddress(), address.getPort())) {
      socket.getOutputStream().write(new byte[10_000]);
      assertTrue(socket.getInputStream().read() <= 21);
    } catch (IOException e) {
      assertTrue(e.getMessage().contains("reset") || e.getMessage().contains("pipe"));
    }
    aFileArrivesWhole();
  }

  private void assertNoCarrier(String expected, SslContext tls) throws Exception {
    assertThrows(
        IOException.class,
        () ->
            Carrier.connect(
                    fixture.server.address(),
                    expected,
                    tls,
                    fixture.homeLoops,
                    Duration.ofSeconds(3))
                .close());
    aFileArrivesWhole();
  }

  private void assertRefused(
      String status, Carrier carrier, String migration, String name, Path file) throws IOException {
    Exception refusal =
        assertThrows(
            ExecutionException.class,
            () -> send(carrier, migration, name, file, new AtomicLong()).get());
    assertTrue(refusal.getMessage().contains(status), refusal.getMessage());
    try (Stream<Path> left = Files.list(images)) {
      assertFalse(left.anyMatch(path -> path.endsWith(name)), "something was left behind");
    }
  }

  private static CompletableFuture<Long> send(
      Carrier carrier, String migration, String name, Path file, AtomicLong progress) {
    return carrier.sendFile(migration, name, file, progress::set);
  }

  private static void assertReset(SocketChannel channel) {
    IOException reset =
        assertThrows(IOException.class, () -> channel.read(java.nio.ByteBuffer.allocate(1)));
    assertTrue(reset.getMessage().contains("reset"), reset.toString());
  }

  private Path file(int size) throws IOException {
    Path file = Files.createTempFile(directory, "source", ".img");
    byte[] bytes = new byte[size];
    new Random(size).nextBytes(bytes);
    Files.write(file, bytes);
    return file;
  }
}
