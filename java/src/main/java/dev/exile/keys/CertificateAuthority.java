package dev.exile.keys;

import java.io.IOException;
import java.math.BigInteger;
import java.net.InetAddress;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.CertIOException;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/**
 * The small certificate authority of one set of hosts: an EC P-256 key in a directory of its own.
 * It need not lie on any of the hosts; each gets only its own sub-directory.
 */
public final class CertificateAuthority {
  /** The CA's certificate, in the CA's directory and in each host's. */
  public static final String CA_CERTIFICATE = "ca.crt";

  /** The CA's private key. It never leaves the CA's directory. */
  public static final String CA_KEY = "ca.key";

  /** A host's certificate, in its keys directory. */
  public static final String HOST_CERTIFICATE = "host.crt";

  /** A host's private key, in its keys directory. */
  public static final String HOST_KEY = "host.key";

  private static final Duration CA_LIFE = Duration.ofDays(10 * 365);
  private static final Duration HOST_LIFE = Duration.ofDays(2 * 365);

  /** Hosts' clocks differ; a new certificate must not be from the future on any of them. */
  private static final Duration CLOCK_SKEW = Duration.ofHours(1);

  private static final String SIGNATURE = "SHA256withECDSA";
  private static final SecureRandom RANDOM = new SecureRandom();

  private final Path dir;
  private final Clock clock;

  /** The CA in a directory, at the clock's time; neither needs to be there yet. */
  public CertificateAuthority(Path dir, Clock clock) {
    this.dir = dir;
    this.clock = clock;
  }

  /**
   * Makes a new CA in a directory that is new or empty: {@value #CA_CERTIFICATE} and {@value
   * #CA_KEY}.
   *
   * @throws KeysException if the directory holds anything, or cannot be written
   */
  public static void init(Path dir) throws KeysException {
    new CertificateAuthority(dir, Clock.systemUTC()).init();
  }

  /**
   * Issues a host's keys into {@code dir/host}: {@value #CA_CERTIFICATE}, {@value
   * #HOST_CERTIFICATE} and {@value #HOST_KEY}.
   *
   * @param host its name, as in the agents' configurations
   * @param addresses its numeric addresses
   * @param renew whether keys issued earlier may be replaced
   * @return the new directory
   * @throws IllegalArgumentException if the name or an address cannot be one
   * @throws KeysException if there is no CA, or the host has keys and they are not to be replaced
   */
  public static Path issue(Path dir, String host, List<String> addresses, boolean renew)
      throws KeysException {
    return new CertificateAuthority(dir, Clock.systemUTC()).issue(host, addresses, renew);
  }

  /** As {@link #init(Path)}, in this CA's directory. */
  public void init() throws KeysException {
    try {
      requireEmpty();
      privateDirectory(dir);
      KeyPair pair = newKey();
      // Two CAs must not share a name: a refusal names the issuer, and shall tell them apart.
      X500Name name = new X500Name("CN=Exile CA " + serial().toString(16).substring(0, 8));
      X509v3CertificateBuilder builder = builder(name, CA_LIFE, name, pair.getPublic());
      builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(0));
      builder.addExtension(
          Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign));
      Pem.writeKey(dir.resolve(CA_KEY), pair.getPrivate());
      Pem.writeCertificate(dir.resolve(CA_CERTIFICATE), sign(builder, pair.getPrivate()));
    } catch (IOException | GeneralSecurityException | OperatorCreationException e) {
      throw new KeysException("cannot make a CA in " + dir + ": " + e, e);
    }
  }

  /** As {@link #issue(Path, String, List, boolean)}, in this CA's directory. */
  public Path issue(String host, List<String> addresses, boolean renew) throws KeysException {
    HostNames.require(host);
    GeneralNames names = names(host, addresses);
    Path caFile = dir.resolve(CA_CERTIFICATE);
    if (Files.notExists(caFile)) {
      throw new KeysException("no CA in " + dir + ": make one with: exile keys init " + dir);
    }
    X509Certificate ca = Pem.readCertificate(caFile);
    PrivateKey caKey = Pem.readKey(dir.resolve(CA_KEY));
    Path target = dir.resolve(host);
    if (Files.exists(target, LinkOption.NOFOLLOW_LINKS) && !renew) {
      throw new KeysException(target + " exists: add --renew to replace the keys in it");
    }
    if (ca.getNotAfter().toInstant().isBefore(clock.instant())) {
      throw new KeysException(
          "the CA in " + dir + " has expired: make a new one in another directory");
    }
    try {
      privateDirectory(target);
      KeyPair pair = newKey();
      X500Name issuer = X500Name.getInstance(ca.getSubjectX500Principal().getEncoded());
      X509v3CertificateBuilder builder =
          builder(issuer, life(ca), new X500Name("CN=" + host), pair.getPublic());
      extend(builder, ca, names);
      X509Certificate certificate = sign(builder, caKey);
      certificate.verify(ca.getPublicKey());
      Pem.writeKey(target.resolve(HOST_KEY), pair.getPrivate());
      Pem.writeCertificate(target.resolve(HOST_CERTIFICATE), certificate);
      Pem.writeCertificate(target.resolve(CA_CERTIFICATE), ca);
      return target;
    } catch (IOException | GeneralSecurityException | OperatorCreationException e) {
      throw new KeysException("cannot issue keys for " + host + " in " + target + ": " + e, e);
    }
  }

  private void requireEmpty() throws IOException, KeysException {
    if (Files.exists(dir.resolve(CA_KEY)) || Files.exists(dir.resolve(CA_CERTIFICATE))) {
      throw new KeysException(
          "there is a CA in "
              + dir
              + " already: every host's keys depend on it; use another"
              + " directory");
    }
    if (!Files.exists(dir)) {
      return;
    }
    if (!Files.isDirectory(dir)) {
      throw new KeysException(dir + " is no directory: name a new or an empty one");
    }
    // It becomes 0700, which would be a sad surprise for, say, /etc.
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(dir)) {
      if (entries.iterator().hasNext()) {
        throw new KeysException(dir + " is not empty: name a new or an empty directory");
      }
    }
  }

  /** A host's certificate must not outlive the CA's. */
  private Duration life(X509Certificate ca) {
    Duration rest = Duration.between(clock.instant(), ca.getNotAfter().toInstant());
    return rest.compareTo(HOST_LIFE) < 0 ? rest : HOST_LIFE;
  }

  private static GeneralNames names(String host, List<String> addresses) {
    List<GeneralName> names = new ArrayList<>();
    names.add(new GeneralName(GeneralName.dNSName, host));
    for (String text : addresses) {
      InetAddress address = HostNames.requireAddress(text);
      names.add(new GeneralName(GeneralName.iPAddress, address.getHostAddress()));
    }
    return new GeneralNames(names.toArray(GeneralName[]::new));
  }

  private static void extend(
      X509v3CertificateBuilder builder, X509Certificate ca, GeneralNames names)
      throws CertIOException, GeneralSecurityException {
    builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(false));
    builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.digitalSignature));
    builder.addExtension(
        Extension.extendedKeyUsage,
        false,
        new ExtendedKeyUsage(
            new KeyPurposeId[] {KeyPurposeId.id_kp_serverAuth, KeyPurposeId.id_kp_clientAuth}));
    builder.addExtension(Extension.subjectAlternativeName, false, names);
    builder.addExtension(
        Extension.authorityKeyIdentifier,
        false,
        new JcaX509ExtensionUtils().createAuthorityKeyIdentifier(ca));
  }

  private X509v3CertificateBuilder builder(
      X500Name issuer, Duration life, X500Name subject, PublicKey key)
      throws GeneralSecurityException, CertIOException {
    Instant now = clock.instant();
    X509v3CertificateBuilder builder =
        new JcaX509v3CertificateBuilder(
            issuer,
            serial(),
            Date.from(now.minus(CLOCK_SKEW)),
            Date.from(now.plus(life)),
            subject,
            key);
    builder.addExtension(
        Extension.subjectKeyIdentifier,
        false,
        new JcaX509ExtensionUtils().createSubjectKeyIdentifier(key));
    return builder;
  }

  private static X509Certificate sign(X509v3CertificateBuilder builder, PrivateKey key)
      throws OperatorCreationException, GeneralSecurityException {
    return new JcaX509CertificateConverter()
        .getCertificate(builder.build(new JcaContentSignerBuilder(SIGNATURE).build(key)));
  }

  private static KeyPair newKey() throws GeneralSecurityException {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
    generator.initialize(new ECGenParameterSpec("secp256r1"), RANDOM);
    return generator.generateKeyPair();
  }

  /** Positive, 127 random bits, the first of them set: always of the same length. */
  private static BigInteger serial() {
    return new BigInteger(127, RANDOM).setBit(126);
  }

  private static void privateDirectory(Path path) throws IOException {
    Files.createDirectories(path);
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwx------"));
  }
}
