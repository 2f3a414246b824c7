package dev.exile.keys;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.EnumSet;
import java.util.Set;

/** Certificates and private keys as PEM files; keys are for their owner alone. */
final class Pem {
  private static final String KEY_BEGIN = "-----BEGIN PRIVATE KEY-----";
  private static final String KEY_END = "-----END PRIVATE KEY-----";
  private static final Base64.Encoder BASE64 =
      Base64.getMimeEncoder(64, "\n".getBytes(StandardCharsets.US_ASCII));

  private Pem() {}

  static X509Certificate readCertificate(Path file) throws KeysException {
    try (InputStream in = Files.newInputStream(file)) {
      return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
    } catch (CertificateException e) {
      throw new KeysException(file + " holds no PEM certificate: issue the keys anew", e);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /** Reads a PKCS#8 EC key, and refuses one that others than its owner can read or change. */
  static PrivateKey readKey(Path file) throws KeysException {
    try {
      Set<PosixFilePermission> permissions = Files.getPosixFilePermissions(file);
      Set<PosixFilePermission> open = EnumSet.noneOf(PosixFilePermission.class);
      open.addAll(permissions);
      open.remove(PosixFilePermission.OWNER_READ);
      open.remove(PosixFilePermission.OWNER_WRITE);
      if (!open.isEmpty()) {
        throw new KeysException(
            file
                + " is open to others ("
                + PosixFilePermissions.toString(permissions)
                + "): chmod 600 "
                + file);
      }
      String text = Files.readString(file, StandardCharsets.US_ASCII);
      int begin = text.indexOf(KEY_BEGIN);
      int end = text.indexOf(KEY_END);
      if (begin < 0 || end < begin) {
        throw new KeysException(file + " holds no PEM private key (PKCS#8): issue the keys anew");
      }
      byte[] der = Base64.getMimeDecoder().decode(text.substring(begin + KEY_BEGIN.length(), end));
      return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
    } catch (GeneralSecurityException | IllegalArgumentException e) {
      throw new KeysException(file + " holds no EC private key (PKCS#8): issue the keys anew", e);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  static void writeCertificate(Path file, X509Certificate certificate)
      throws IOException, GeneralSecurityException {
    String text =
        "-----BEGIN CERTIFICATE-----\n"
            + BASE64.encodeToString(certificate.getEncoded())
            + "\n-----END CERTIFICATE-----\n";
    write(file, text, "rw-r--r--");
  }

  static void writeKey(Path file, PrivateKey key) throws IOException {
    String text =
        KEY_BEGIN + "\n" + BASE64.encodeToString(key.getEncoded()) + "\n" + KEY_END + "\n";
    write(file, text, "rw-------");
  }

  /** Writes aside, with the final permissions from the first byte on, then renames. */
  private static void write(Path file, String text, String permissions) throws IOException {
    Path aside = file.resolveSibling("." + file.getFileName() + ".new");
    Files.deleteIfExists(aside); // left by a crash
    Set<PosixFilePermission> mode = PosixFilePermissions.fromString(permissions);
    try (FileChannel out =
        FileChannel.open(
            aside,
            EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
            PosixFilePermissions.asFileAttribute(mode))) {
      out.write(StandardCharsets.US_ASCII.encode(text));
      out.force(true);
    }
    // The umask may have taken bits away.
    Files.setPosixFilePermissions(aside, mode);
    Files.move(aside, file, StandardCopyOption.ATOMIC_MOVE);
  }

  private static KeysException unreadable(Path file, IOException e) {
    if (e instanceof NoSuchFileException) {
      return new KeysException(file + " is missing: copy it from where the keys were issued", e);
    }
    if (e instanceof AccessDeniedException) {
      return new KeysException(file + " cannot be read: run as root or as its owner", e);
    }
    return new KeysException("cannot read " + file + ": " + e, e);
  }
}
