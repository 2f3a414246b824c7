package dev.exile.keys;

import io.netty.handler.ssl.OpenSslCertificateException;
import java.io.IOException;
import java.net.Socket;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.X509Certificate;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import javax.net.ssl.X509TrustManager;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Accepts a peer whose certificate the one CA signed and whose name is among the given ones.
 *
 * <p>A refused server is logged here; a refused client by {@link HandshakeLog}, which knows its
 * address.
 *
 * <p>The addresses in a certificate are not compared with the peer's: a host may speak from any of
 * its addresses, and the name is what counts.
 */
final class PeerTrust extends X509ExtendedTrustManager {
  private static final Logger log = LoggerFactory.getLogger(PeerTrust.class);

  /**
   * X509_V_ERR_CERT_REJECTED: the peer is told "bad certificate". For any other exception Netty's
   * OpenSSL engine would tell it "internal error".
   */
  private static final int CERT_REJECTED = 28;

  private final X509TrustManager pkix;
  private final X509Certificate ca;
  private final Set<String> names;

  PeerTrust(X509Certificate ca, Set<String> names) throws GeneralSecurityException, IOException {
    this.ca = ca;
    this.names = new TreeSet<>(names);
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    store.setCertificateEntry("ca", ca);
    TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
    factory.init(store);
    for (TrustManager manager : factory.getTrustManagers()) {
      if (manager instanceof X509TrustManager found) {
        pkix = found;
        return;
      }
    }
    throw new GeneralSecurityException("this Java has no PKIX trust manager");
  }

  private interface Validation {
    void run() throws CertificateException;
  }

  private void check(X509Certificate[] chain, Validation validation)
      throws OpenSslCertificateException {
    try {
      validation.run();
    } catch (CertificateException e) {
      throw refuse(chain, whyInvalid(chain[0], e), e);
    }
    Optional<String> name = PeerNames.in(chain[0]);
    if (name.isEmpty()) {
      throw refuse(chain, "its certificate does not name one host", null);
    }
    if (!names.contains(name.get())) {
      throw refuse(chain, "its name is not among the known hosts " + names, null);
    }
  }

  private String whyInvalid(X509Certificate certificate, CertificateException e) {
    try {
      certificate.checkValidity();
    } catch (CertificateExpiredException expired) {
      return "its certificate expired on " + certificate.getNotAfter().toInstant();
    } catch (CertificateNotYetValidException early) {
      return "its certificate is valid only from "
          + certificate.getNotBefore().toInstant()
          + "; compare the clocks of both hosts";
    }
    try {
      certificate.verify(ca.getPublicKey());
    } catch (GeneralSecurityException foreign) {
      return "its certificate is not signed by our CA, " + ca.getSubjectX500Principal();
    }
    return e.getMessage();
  }

  private static OpenSslCertificateException refuse(
      X509Certificate[] chain, String why, CertificateException cause) {
    return new OpenSslCertificateException(
        chain[0].getSubjectX500Principal()
            + " (issued by "
            + chain[0].getIssuerX500Principal()
            + "): "
            + why,
        cause,
        CERT_REJECTED);
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authType)
      throws CertificateException {
    check(chain, () -> pkix.checkClientTrusted(chain, authType));
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authType)
      throws CertificateException {
    try {
      check(chain, () -> pkix.checkServerTrusted(chain, authType));
    } catch (OpenSslCertificateException e) {
      log.warn("refused server {}", e.getMessage());
      throw e;
    }
  }

  // With a socket or an engine the JDK would compare the peer's address with the certificate too.

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authType, Socket socket)
      throws CertificateException {
    checkClientTrusted(chain, authType);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authType, Socket socket)
      throws CertificateException {
    checkServerTrusted(chain, authType);
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
      throws CertificateException {
    checkClientTrusted(chain, authType);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
      throws CertificateException {
    checkServerTrusted(chain, authType);
  }

  @Override
  public X509Certificate[] getAcceptedIssuers() {
    // Told our CA, a stranger with another's certificate would keep it back, and the log could not
    // say who it was.
    return new X509Certificate[0];
  }
}
