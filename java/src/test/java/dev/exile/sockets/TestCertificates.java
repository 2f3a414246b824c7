package dev.exile.sockets;

import io.netty.handler.ssl.ApplicationProtocolConfig;
import io.netty.handler.ssl.ApplicationProtocolConfig.Protocol;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectedListenerFailureBehavior;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectorFailureBehavior;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Date;
import java.util.concurrent.atomic.AtomicLong;
import javax.net.ssl.SSLException;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.cert.CertIOException;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/** A certificate authority for one test, and the TLS contexts of hosts that it has certified. */
public final class TestCertificates {
  private static final AtomicLong SERIAL = new AtomicLong(1);

  private final KeyPair keys;
  private final X509Certificate certificate;

  /** Makes the authority. */
  public TestCertificates() {
    keys = newKeys();
    certificate = sign(keys, "CN=test authority", keys, "CN=test authority", null);
  }

  /** A server context for a host: TLS 1.3 only, client certificates of this authority required. */
  public SslContext server(String host) throws SSLException {
    Identity identity = issue(host);
    return common(SslContextBuilder.forServer(identity.key(), identity.certificate()))
        .clientAuth(ClientAuth.REQUIRE)
        .build();
  }

  /** A client context for a host: TLS 1.3 only. */
  public SslContext client(String host) throws SSLException {
    Identity identity = issue(host);
    return common(SslContextBuilder.forClient())
        .keyManager(identity.key(), identity.certificate())
        .build();
  }

  /** A client context that has no certificate. */
  public SslContext anonymousClient() throws SSLException {
    return common(SslContextBuilder.forClient()).build();
  }

  /** A client context that speaks TLS 1.2 at most. */
  public SslContext oldClient(String host) throws SSLException {
    Identity identity = issue(host);
    return common(SslContextBuilder.forClient())
        .keyManager(identity.key(), identity.certificate())
        .protocols("TLSv1.2")
        .build();
  }

  private SslContextBuilder common(SslContextBuilder builder) {
    return builder
        .sslProvider(SslProvider.OPENSSL)
        .trustManager(certificate)
        .protocols("TLSv1.3")
        .applicationProtocolConfig(
            new ApplicationProtocolConfig(
                Protocol.ALPN,
                SelectorFailureBehavior.NO_ADVERTISE,
                SelectedListenerFailureBehavior.ACCEPT,
                "h2"));
  }

  private record Identity(PrivateKey key, X509Certificate certificate) {}

  private Identity issue(String host) {
    KeyPair own = newKeys();
    return new Identity(own.getPrivate(), sign(own, "CN=" + host, keys, "CN=test authority", host));
  }

  private static KeyPair newKeys() {
    try {
      KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
      generator.initialize(256);
      return generator.generateKeyPair();
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }

  private static X509Certificate sign(
      KeyPair subject, String subjectName, KeyPair issuer, String issuerName, String dnsName) {
    Instant now = Instant.now();
    X509v3CertificateBuilder builder =
        new JcaX509v3CertificateBuilder(
            new X500Name(issuerName),
            BigInteger.valueOf(SERIAL.getAndIncrement()),
            Date.from(now.minus(1, ChronoUnit.HOURS)),
            Date.from(now.plus(1, ChronoUnit.DAYS)),
            new X500Name(subjectName),
            subject.getPublic());
    try {
      builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(dnsName == null));
      if (dnsName != null) {
        builder.addExtension(
            Extension.subjectAlternativeName,
            false,
            new GeneralNames(new GeneralName(GeneralName.dNSName, dnsName)));
      }
      return new JcaX509CertificateConverter()
          .getCertificate(
              builder.build(
                  new JcaContentSignerBuilder("SHA256withECDSA").build(issuer.getPrivate())));
    } catch (CertIOException | OperatorCreationException | GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }
}
