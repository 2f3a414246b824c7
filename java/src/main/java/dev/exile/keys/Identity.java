package dev.exile.keys;

import io.grpc.netty.GrpcSslContexts;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.OpenSsl;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A host's own keys, and the TLS contexts made with them: TLS 1.3 only, both sides authenticated,
 * ALPN {@code h2}. They serve gRPC and the carrier alike.
 */
public final class Identity {
  private static final Logger log = LoggerFactory.getLogger(Identity.class);
  private static final Duration SOON = Duration.ofDays(30);

  private final String name;
  private final X509Certificate ca;
  private final X509Certificate certificate;
  private final PrivateKey key;

  private Identity(String name, X509Certificate ca, X509Certificate certificate, PrivateKey key) {
    this.name = name;
    this.ca = ca;
    this.certificate = certificate;
    this.key = key;
  }

  /**
   * Loads the keys that {@link CertificateAuthority#issue(Path, String, java.util.List, boolean)}
   * made.
   *
   * @throws KeysException if a file is missing, unreadable, too open, expired, or does not belong
   *     to the others
   */
  public static Identity load(Path dir) throws KeysException {
    if (Files.notExists(dir)) {
      throw new KeysException(
          dir + " is missing: make it with exile keys issue, and copy it to this host");
    }
    X509Certificate ca = Pem.readCertificate(dir.resolve(CertificateAuthority.CA_CERTIFICATE));
    Path file = dir.resolve(CertificateAuthority.HOST_CERTIFICATE);
    X509Certificate certificate = Pem.readCertificate(file);
    PrivateKey key = Pem.readKey(dir.resolve(CertificateAuthority.HOST_KEY));
    try {
      certificate.verify(ca.getPublicKey());
    } catch (GeneralSecurityException e) {
      throw new KeysException(
          file + " is not signed by the CA beside it: copy all three files from one issue", e);
    }
    if (!belongs(key, certificate)) {
      throw new KeysException(
          dir.resolve(CertificateAuthority.HOST_KEY)
              + " does not belong to "
              + file
              + ": copy all three files from one issue");
    }
    String name =
        PeerNames.in(certificate)
            .orElseThrow(() -> new KeysException(file + " does not name one host: issue it anew"));
    checkDates(file, name, certificate);
    return new Identity(name, ca, certificate, key);
  }

  /** The host's name in its certificate. */
  public String name() {
    return name;
  }

  /**
   * For accepting connections from the known hosts. Listen through {@link GuardedListener}: it logs
   * who was refused.
   *
   * @throws KeysException if this machine's TLS cannot use the keys
   */
  public SslContext server(Set<String> knownHosts) throws KeysException {
    return server(knownHosts, provider());
  }

  SslContext server(Set<String> knownHosts, SslProvider provider) throws KeysException {
    try {
      SslContextBuilder builder =
          SslContextBuilder.forServer(key, certificate).clientAuth(ClientAuth.REQUIRE);
      return build(builder, knownHosts, provider);
    } catch (GeneralSecurityException | IOException e) {
      throw new KeysException("TLS cannot use the keys of " + name + ": " + e, e);
    }
  }

  /**
   * For connecting to one host; a peer with another name is refused.
   *
   * @throws KeysException if this machine's TLS cannot use the keys
   */
  public SslContext client(String expectedHost) throws KeysException {
    return client(expectedHost, provider());
  }

  SslContext client(String expectedHost, SslProvider provider) throws KeysException {
    try {
      // PeerTrust compares the name; Netty's own check would compare the address that we dial.
      SslContextBuilder builder =
          SslContextBuilder.forClient()
              .keyManager(key, certificate)
              .endpointIdentificationAlgorithm(null);
      return build(builder, Set.of(expectedHost), provider);
    } catch (GeneralSecurityException | IOException e) {
      throw new KeysException("TLS cannot use the keys of " + name + ": " + e, e);
    }
  }

  /** BoringSSL is several times faster than the JDK; where it does not load, the JDK serves. */
  private static SslProvider provider() {
    return OpenSsl.isAvailable() ? SslProvider.OPENSSL : SslProvider.JDK;
  }

  private SslContext build(SslContextBuilder builder, Set<String> names, SslProvider provider)
      throws GeneralSecurityException, IOException {
    return GrpcSslContexts.configure(builder, provider)
        .trustManager(new PeerTrust(ca, names))
        .protocols("TLSv1.3")
        .build();
  }

  private static boolean belongs(PrivateKey key, X509Certificate certificate) throws KeysException {
    byte[] probe = {1, 2, 3};
    try {
      Signature signature = Signature.getInstance("SHA256withECDSA");
      signature.initSign(key);
      signature.update(probe);
      byte[] signed = signature.sign();
      signature.initVerify(certificate.getPublicKey());
      signature.update(probe);
      return signature.verify(signed);
    } catch (GeneralSecurityException e) {
      throw new KeysException("the host's key and certificate cannot be used: " + e, e);
    }
  }

  private static void checkDates(Path file, String name, X509Certificate certificate)
      throws KeysException {
    Instant now = Instant.now();
    Instant end = certificate.getNotAfter().toInstant();
    if (now.isAfter(end)) {
      throw new KeysException(
          file
              + " expired on "
              + end
              + ": renew it with exile keys issue DIR "
              + name
              + " --address IP --renew");
    }
    Instant start = certificate.getNotBefore().toInstant();
    if (now.isBefore(start)) {
      throw new KeysException(file + " is valid only from " + start + ": check this host's clock");
    }
    if (now.plus(SOON).isAfter(end)) {
      log.warn("{} expires on {}: renew it with exile keys issue ... --renew", file, end);
    }
  }
}
