package dev.exile.keys;

import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;

/** The host's name in a certificate: its one DNS name, which is its common name too. */
public final class PeerNames {
  /** The tag of a DNS name in {@link X509Certificate#getSubjectAlternativeNames}. */
  private static final int DNS = 2;

  private PeerNames() {}

  /**
   * The verified host name of the other side.
   *
   * @throws SSLPeerUnverifiedException if the other side has shown no certificate, or one without a
   *     host's name; with contexts made by {@link Identity} the handshake has failed by then
   */
  public static String of(SSLSession session) throws SSLPeerUnverifiedException {
    Certificate[] chain = session.getPeerCertificates();
    if (chain.length > 0 && chain[0] instanceof X509Certificate certificate) {
      Optional<String> name = in(certificate);
      if (name.isPresent()) {
        return name.get();
      }
    }
    throw new SSLPeerUnverifiedException("the peer's certificate names no host");
  }

  /** The host that a certificate names, or nothing if it does not name exactly one. */
  static Optional<String> in(X509Certificate certificate) {
    List<String> dns = new ArrayList<>();
    try {
      Collection<List<?>> names = certificate.getSubjectAlternativeNames();
      if (names != null) {
        for (List<?> name : names) {
          if (name.get(0) instanceof Integer tag && tag == DNS) {
            dns.add((String) name.get(1));
          }
        }
      }
    } catch (CertificateException e) {
      return Optional.empty(); // names that cannot be read name no host
    }
    if (dns.size() != 1) {
      return Optional.empty();
    }
    return Optional.of(dns.get(0)).filter(n -> commonNames(certificate).equals(List.of(n)));
  }

  private static List<String> commonNames(X509Certificate certificate) {
    try {
      List<String> found = new ArrayList<>();
      for (Rdn part : new LdapName(certificate.getSubjectX500Principal().getName()).getRdns()) {
        if (part.getType().equalsIgnoreCase("CN")) {
          found.add(part.getValue().toString());
        }
      }
      return found;
    } catch (InvalidNameException e) {
      return List.of(); // as above
    }
  }
}
