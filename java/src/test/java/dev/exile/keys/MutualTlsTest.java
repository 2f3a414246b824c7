package dev.exile.keys;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.netty.GrpcSslContexts;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Host {@code a} listens and knows {@code b}; the tests are those who knock. */
@ParameterizedClass
@EnumSource(
    value = SslProvider.class,
    names = {"OPENSSL", "JDK"})
class MutualTlsTest {
  private static final long PATIENCE_MILLIS = 5_000;

  @RegisterExtension
  private final WarningsExtension warnings = new WarningsExtension("dev.exile.keys");

  @Parameter private SslProvider provider;
  @TempDir private Path temp;
  private Path ca;

  @BeforeEach
  void init() throws KeysException {
    ca = temp.resolve("ca");
    CertificateAuthority.init(ca);
  }

  private static Path issue(Path authority, String host) throws KeysException {
    return CertificateAuthority.issue(authority, host, List.of("127.0.0.1"), false);
  }

  private Identity identity(String host) throws KeysException {
    return Identity.load(issue(ca, host));
  }

  private Loopback listen() throws KeysException {
    return new Loopback(identity("a").server(Set.of("b"), provider));
  }

  /** A client with the given keys that trusts whomever it meets. */
  private static SslContext stranger(Path keys, String protocol) throws Exception {
    SslContextBuilder builder =
        SslContextBuilder.forClient()
            .trustManager(InsecureTrustManagerFactory.INSTANCE)
            .endpointIdentificationAlgorithm(null);
    if (keys != null) {
      builder.keyManager(
          Pem.readKey(keys.resolve("host.key")), Pem.readCertificate(keys.resolve("host.crt")));
    }
    return GrpcSslContexts.configure(builder).protocols(protocol).build();
  }

  /** One line only, whoever writes it. */
  private String warning() throws InterruptedException {
    long end = System.nanoTime() + PATIENCE_MILLIS * 1_000_000;
    while (warnings.lines().isEmpty() && System.nanoTime() < end) {
      Thread.sleep(10);
    }
    assertEquals(1, warnings.lines().size(), warnings.lines().toString());
    return warnings.lines().get(0);
  }

  private void assertRefused(SslContext client, String... words) throws Exception {
    try (Loopback a = listen()) {
      assertThrows(Exception.class, () -> a.connect(client));
      String line = warning();
      for (String word : words) {
        assertTrue(line.contains(word), "'" + word + "' in: " + line);
      }
      assertTrue(line.contains("/127.0.0.1:"), "the address in: " + line);
      assertEquals(List.of(), a.accepted);
    }
  }

  @Test
  void aKnownHostIsLetInUnderTheNameInItsCertificate() throws Throwable {
    try (Loopback a = listen()) {
      a.connect(identity("b").client("a", provider));

      assertEquals(List.of("b"), a.accepted);
      assertEquals(List.of(), warnings.lines());
    }
  }

  @Test
  void aCertificateOfAnotherCaIsRefused() throws Exception {
    Path foreign = temp.resolve("foreign");
    CertificateAuthority.init(foreign);

    assertRefused(
        stranger(issue(foreign, "b"), "TLSv1.3"),
        "CN=b (issued by CN=Exile CA ",
        "not signed by our CA");
  }

  @Test
  void aPeerWithoutACertificateIsRefused() throws Exception {
    assertRefused(stranger(null, "TLSv1.3"), "TLS handshake");
  }

  @Test
  void aValidCertificateUnderAnUnknownNameIsRefused() throws Exception {
    assertRefused(
        stranger(issue(ca, "mallory"), "TLSv1.3"),
        "CN=mallory",
        "its name is not among the known hosts [b]");
  }

  @Test
  void anExpiredCertificateIsRefused() throws Exception {
    Clock then = Clock.offset(Clock.systemUTC(), Duration.ofDays(-1000));
    Path old = new CertificateAuthority(ca, then).issue("b", List.of("127.0.0.1"), false);

    assertRefused(stranger(old, "TLSv1.3"), "CN=b", "its certificate expired on ");
  }

  @Test
  void aPeerThatSpeaksOnlyTls12IsRefused() throws Exception {
    assertRefused(stranger(issue(ca, "b"), "TLSv1.2"), "TLS handshake");
  }

  @Test
  void aPeerThatDoesNotSpeakTlsIsRefused() throws Exception {
    try (Loopback a = listen();
        Socket plain = new Socket(a.address().getAddress(), a.address().getPort())) {
      OutputStream out = plain.getOutputStream();
      out.write("GET / HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
      out.flush();

      assertTrue(warning().contains("TLS handshake"), warning());
      assertEquals(List.of(), a.accepted);
    }
  }

  @Test
  void aClientRefusesAHostOtherThanTheOneItExpects() throws Exception {
    try (Loopback a = listen()) {
      SslContext client = identity("b").client("c", provider);

      assertThrows(Exception.class, () -> a.connect(client));
      assertTrue(
          warnings.lines().stream()
              .anyMatch(
                  line ->
                      line.contains("CN=a")
                          && line.contains("its name is not among the known hosts [c]")),
          warnings.lines().toString());
    }
  }

  @Test
  void aClientRefusesAServerOfAnotherCa() throws Exception {
    Path foreign = temp.resolve("foreign");
    CertificateAuthority.init(foreign);
    Identity impostor = Identity.load(issue(foreign, "a"));
    try (Loopback a = new Loopback(impostor.server(Set.of("b"), provider))) {
      SslContext client = identity("b").client("a", provider);

      assertThrows(Exception.class, () -> a.connect(client));
      assertTrue(
          warnings.lines().stream().anyMatch(line -> line.contains("not signed by our CA")),
          warnings.lines().toString());
    }
  }
}
