package dev.exile.sockets;

import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.Http2Headers;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What travels over a carrier: one HTTP/2 connection, all streams opened by home.
 *
 * <pre>
 *   POST /relay/MIGRATION/NAME    a connection that existed at the freeze; DATA both ways
 *   POST /accept/MIGRATION/NAME   a connection accepted since by listener NAME; DATA both ways
 *   PUT  /image/MIGRATION/NAME   a file, content-length says how long; answered when it is complete
 * </pre>
 *
 * <p>The answer to each is a status: 200, or an error with its reason in a header. Home does not
 * wait for the answer before it sends DATA.
 */
final class CarrierProtocol {
  static final String REMOTE_ADDRESS = "exile-remote-address";
  static final String LOCAL_ADDRESS = "exile-local-address";
  private static final String REASON = "exile-reason";
  private static final Pattern IMAGE_NAME = Pattern.compile("[A-Za-z0-9._-]{1,255}");
  private static final Pattern SOCKET_NAME = Pattern.compile("[A-Za-z0-9-]{1,64}");
  private static final Pattern PATH =
      Pattern.compile("/(relay|accept|image)/([A-Za-z0-9._-]{1,128})/([^/]{1,512})");

  private CarrierProtocol() {}

  /** What a stream is for. */
  enum Kind {
    /** A connection that existed at the freeze. */
    RELAY("POST"),
    /** A connection accepted at home since. */
    ACCEPT("POST"),
    /** A file. */
    IMAGE("PUT");

    private final String method;

    Kind(String method) {
      this.method = method;
    }

    private String path() {
      return switch (this) {
        case RELAY -> "relay";
        case ACCEPT -> "accept";
        case IMAGE -> "image";
      };
    }
  }

  /**
   * A request's target.
   *
   * @param kind what the stream is for
   * @param migration the migration's id
   * @param name a socket's, a listener's or an image's name; not yet checked
   */
  record Target(Kind kind, String migration, String name) {
    static Optional<Target> of(Http2Headers headers) {
      CharSequence path = headers.path();
      CharSequence method = headers.method();
      if (path == null || method == null) {
        return Optional.empty();
      }
      Matcher matcher = PATH.matcher(path);
      if (!matcher.matches()) {
        return Optional.empty();
      }
      for (Kind kind : Kind.values()) {
        if (kind.path().equals(matcher.group(1)) && kind.method.contentEquals(method)) {
          return Optional.of(new Target(kind, matcher.group(2), matcher.group(3)));
        }
      }
      return Optional.empty();
    }

    boolean isSocketName() {
      return SOCKET_NAME.matcher(name).matches();
    }

    boolean isImageName() {
      return IMAGE_NAME.matcher(name).matches() && !name.equals(".") && !name.equals("..");
    }

    Http2Headers headers() {
      return new DefaultHttp2Headers()
          .method(kind.method)
          .scheme("https")
          .authority("exile")
          .path("/" + kind.path() + "/" + migration + "/" + name);
    }

    @Override
    public String toString() {
      return kind.path() + " " + migration + "/" + name;
    }
  }

  /**
   * The answer to a request.
   *
   * @param status an HTTP status
   * @param reason why, for an operator; empty on success
   */
  record Answer(int status, String reason) {
    static final Answer OK = new Answer(200, "");

    static Answer of(Http2Headers headers) {
      CharSequence status = headers.status();
      CharSequence reason = headers.get(REASON);
      return new Answer(
          status == null ? 0 : Integer.parseInt(status.toString()),
          reason == null ? "" : reason.toString());
    }

    boolean accepted() {
      return status == 200;
    }

    Http2Headers headers() {
      Http2Headers headers = new DefaultHttp2Headers().status(Integer.toString(status));
      return reason.isEmpty() ? headers : headers.set(REASON, printable(reason));
    }

    @Override
    public String toString() {
      return status + " " + reason;
    }
  }

  static String address(InetSocketAddress address) {
    return address == null ? "" : address.getAddress().getHostAddress() + ":" + address.getPort();
  }

  /** What may stand in a header: an exception's message may be anything. */
  private static String printable(String text) {
    byte[] ascii = text.getBytes(StandardCharsets.US_ASCII);
    return new String(ascii, StandardCharsets.US_ASCII).replaceAll("[^ -~]", " ").strip();
  }
}
