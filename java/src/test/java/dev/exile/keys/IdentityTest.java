package dev.exile.keys;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class IdentityTest {
  @TempDir private Path temp;
  private Path ca;
  private Path keys;

  @BeforeEach
  void issue() throws KeysException {
    ca = temp.resolve("ca");
    CertificateAuthority.init(ca);
    keys = CertificateAuthority.issue(ca, "a", List.of("10.0.0.1"), false);
  }

  private String refusal() {
    return assertThrows(KeysException.class, () -> Identity.load(keys)).getMessage();
  }

  @Test
  void issuedKeysLoadUnderTheNameOfTheHost() throws KeysException {
    assertEquals("a", Identity.load(keys).name());
  }

  @ParameterizedTest
  @ValueSource(strings = {"ca.crt", "host.crt", "host.key"})
  void eachMissingFileIsNamed(String file) throws Exception {
    Files.delete(keys.resolve(file));

    assertTrue(refusal().startsWith(keys.resolve(file) + " is missing"), refusal());
  }

  @ParameterizedTest
  @ValueSource(strings = {"ca.crt", "host.crt", "host.key"})
  void eachFileWithOtherContentIsNamed(String file) throws Exception {
    Files.writeString(keys.resolve(file), "nonsense");

    assertTrue(refusal().startsWith(keys.resolve(file) + " holds no"), refusal());
  }

  @Test
  void aMissingDirectoryIsNamed() {
    keys = temp.resolve("nowhere");

    assertTrue(refusal().startsWith(keys + " is missing"), refusal());
  }

  @ParameterizedTest
  @ValueSource(strings = {"rw-r-----", "rw----r--", "rw--w----"})
  void aKeyThatOthersCanReadOrWriteIsRefused(String mode) throws Exception {
    Path key = keys.resolve("host.key");
    Files.setPosixFilePermissions(key, PosixFilePermissions.fromString(mode));

    assertEquals(key + " is open to others (" + mode + "): chmod 600 " + key, refusal());
  }

  @Test
  void aKeyOfAnotherHostIsRefused() throws Exception {
    Path other = CertificateAuthority.issue(ca, "b", List.of("10.0.0.2"), false);
    Files.copy(
        other.resolve("host.key"), keys.resolve("host.key"), StandardCopyOption.REPLACE_EXISTING);

    assertTrue(refusal().contains("does not belong to"), refusal());
  }

  @Test
  void aCertificateOfAnotherCaIsRefused() throws Exception {
    Path foreign = temp.resolve("foreign");
    CertificateAuthority.init(foreign);
    Files.copy(
        foreign.resolve("ca.crt"), keys.resolve("ca.crt"), StandardCopyOption.REPLACE_EXISTING);

    assertTrue(refusal().contains("is not signed by the CA beside it"), refusal());
  }

  @Test
  void anExpiredCertificateIsRefusedWithTheCommandThatRenewsIt() throws Exception {
    Clock then = Clock.offset(Clock.systemUTC(), Duration.ofDays(-1000));
    keys = new CertificateAuthority(ca, then).issue("old", List.of("10.0.0.9"), false);

    assertTrue(refusal().contains("host.crt expired on "), refusal());
    assertTrue(refusal().contains("exile keys issue DIR old --address IP --renew"), refusal());
  }

  @Test
  void aCertificateFromTheFutureIsRefused() throws Exception {
    Clock then = Clock.offset(Clock.systemUTC(), Duration.ofDays(2));
    keys = new CertificateAuthority(ca, then).issue("young", List.of("10.0.0.9"), false);

    assertTrue(refusal().contains("check this host's clock"), refusal());
  }
}
