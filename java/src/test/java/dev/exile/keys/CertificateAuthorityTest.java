package dev.exile.keys;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.cert.X509Certificate;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CertificateAuthorityTest {
  private static final List<String> ADDRESS = List.of("10.0.0.1");

  @TempDir private Path temp;
  private Path ca;

  @BeforeEach
  void init() throws KeysException {
    ca = temp.resolve("ca");
    CertificateAuthority.init(ca);
  }

  private static String mode(Path path) throws Exception {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }

  @Test
  void onlyTheOwnerCanReadPrivateKeys() throws Exception {
    Path host = CertificateAuthority.issue(ca, "a", ADDRESS, false);

    assertEquals("rwx------", mode(ca));
    assertEquals("rw-------", mode(ca.resolve("ca.key")));
    assertEquals("rwx------", mode(host));
    assertEquals("rw-------", mode(host.resolve("host.key")));
  }

  @Test
  void aHostGetsItsKeyItsCertificateAndTheCaCertificateAndNothingElse() throws Exception {
    Path host = CertificateAuthority.issue(ca, "a", ADDRESS, false);

    assertEquals(ca.resolve("a"), host);
    try (Stream<Path> files = Files.list(host)) {
      assertEquals(
          List.of("ca.crt", "host.crt", "host.key"),
          files.map(f -> f.getFileName().toString()).sorted().toList());
    }
    assertArrayEquals(
        Files.readAllBytes(ca.resolve("ca.crt")), Files.readAllBytes(host.resolve("ca.crt")));
  }

  @Test
  void aHostCertificateNamesTheHostAndItsAddressesAndServesBothSides() throws Exception {
    Path host = CertificateAuthority.issue(ca, "a.example", List.of("10.0.0.1", "fd00::1"), false);

    X509Certificate certificate = Pem.readCertificate(host.resolve("host.crt"));
    assertEquals("CN=a.example", certificate.getSubjectX500Principal().getName());
    assertEquals(
        List.of(List.of(2, "a.example"), List.of(7, "10.0.0.1"), List.of(7, "fd00:0:0:0:0:0:0:1")),
        List.copyOf(certificate.getSubjectAlternativeNames()));
    assertEquals(
        List.of("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"), certificate.getExtendedKeyUsage());
    assertEquals(-1, certificate.getBasicConstraints(), "it must not sign others");
  }

  @Test
  void aHostCertificateIsSignedByTheCaAndValidOnAHostWhoseClockIsSlow() throws Exception {
    Path host = CertificateAuthority.issue(ca, "a", ADDRESS, false);

    X509Certificate authority = Pem.readCertificate(ca.resolve("ca.crt"));
    X509Certificate certificate = Pem.readCertificate(host.resolve("host.crt"));
    certificate.verify(authority.getPublicKey());
    Instant start = certificate.getNotBefore().toInstant();
    assertTrue(start.isBefore(Instant.now().minus(Duration.ofMinutes(59))), "from " + start);
  }

  @Test
  void aHostCertificateDoesNotOutliveTheCa() throws Exception {
    Clock late = Clock.offset(Clock.systemUTC(), Duration.ofDays(3640));
    Path host = new CertificateAuthority(ca, late).issue("a", ADDRESS, false);

    assertEquals(
        Pem.readCertificate(ca.resolve("ca.crt")).getNotAfter().toInstant(),
        Pem.readCertificate(host.resolve("host.crt")).getNotAfter().toInstant());
  }

  @Test
  void aSecondCaInTheSameDirectoryIsRefusedAndTheFirstIsKept() throws Exception {
    byte[] before = Files.readAllBytes(ca.resolve("ca.key"));

    KeysException e = assertThrows(KeysException.class, () -> CertificateAuthority.init(ca));

    assertTrue(e.getMessage().contains("there is a CA in " + ca), e.getMessage());
    assertArrayEquals(before, Files.readAllBytes(ca.resolve("ca.key")));
  }

  @Test
  void aDirectoryWithOtherThingsInItIsNotMadeACa() throws Exception {
    Path busy = Files.createDirectory(temp.resolve("busy"));
    Files.writeString(busy.resolve("letter"), "dear");
    String mode = mode(busy);

    KeysException e = assertThrows(KeysException.class, () -> CertificateAuthority.init(busy));

    assertTrue(e.getMessage().contains("is not empty"), e.getMessage());
    assertEquals(mode, mode(busy));
  }

  @Test
  void keysAreReplacedOnlyWhenAsked() throws Exception {
    Path key = CertificateAuthority.issue(ca, "a", ADDRESS, false).resolve("host.key");
    String first = Files.readString(key);

    KeysException e =
        assertThrows(
            KeysException.class, () -> CertificateAuthority.issue(ca, "a", ADDRESS, false));

    assertTrue(e.getMessage().contains("--renew"), e.getMessage());
    assertEquals(first, Files.readString(key));
    CertificateAuthority.issue(ca, "a", ADDRESS, true);
    assertNotEquals(first, Files.readString(key));
    assertEquals("a", Identity.load(ca.resolve("a")).name());
  }

  @Test
  void issuingWithoutACaSaysHowToMakeOne() {
    Path none = temp.resolve("none");

    KeysException e =
        assertThrows(
            KeysException.class, () -> CertificateAuthority.issue(none, "a", ADDRESS, false));

    assertEquals("no CA in " + none + ": make one with: exile keys init " + none, e.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "-a", "a-", "a..b", ".a", "a_b", "a/b", "..", "a b", "10.0.0.1", "ä"})
  void whatIsNoHostNameIsRefused(String name) {
    assertThrows(
        IllegalArgumentException.class, () -> CertificateAuthority.issue(ca, name, ADDRESS, false));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "a", "10.0.0", "10.0.0.256", "fe80::1%eth0", "[fd00::1]", "::", "0.0.0.0"})
  void whatIsNoNumericAddressIsRefused(String address) {
    assertThrows(
        IllegalArgumentException.class,
        () -> CertificateAuthority.issue(ca, "a", List.of(address), false));
    assertFalse(Files.exists(ca.resolve("a")), "nothing is left behind");
  }
}
