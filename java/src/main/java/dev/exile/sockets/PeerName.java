package dev.exile.sockets;

import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;

/** The name under which a peer's certificate knows it. */
final class PeerName {
  private static final int DNS_NAME = 2;

  private PeerName() {}

  /**
   * The certificate's first DNS name, else its CN; empty if the peer has shown no certificate or it
   * has no name.
   */
  static Optional<String> of(SSLSession session) {
    try {
      if (session.getPeerCertificates()[0] instanceof X509Certificate certificate) {
        Optional<String> dns = dnsName(certificate);
        return dns.isPresent() ? dns : commonName(certificate);
      }
      return Optional.empty();
    } catch (SSLPeerUnverifiedException | CertificateParsingException | InvalidNameException e) {
      return Optional.empty();
    }
  }

  private static Optional<String> dnsName(X509Certificate certificate)
      throws CertificateParsingException {
    Collection<List<?>> names = certificate.getSubjectAlternativeNames();
    if (names == null) {
      return Optional.empty();
    }
    return names.stream()
        .filter(name -> name.get(0).equals(DNS_NAME))
        .map(name -> (String) name.get(1))
        .findFirst();
  }

  private static Optional<String> commonName(X509Certificate certificate)
      throws InvalidNameException {
    return new LdapName(certificate.getSubjectX500Principal().getName())
        .getRdns().stream()
            .filter(rdn -> rdn.getType().equalsIgnoreCase("CN"))
            .map(Rdn::getValue)
            .map(Object::toString)
            .findFirst();
  }
}
