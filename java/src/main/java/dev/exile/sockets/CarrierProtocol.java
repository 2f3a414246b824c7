package dev.exile.sockets;

import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.util.NetUtil;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What travels over a carrier: one HTTP/2 connection, all streams opened by home.
 *
 * <pre>
 *   POST /relay/MIGRATION/NAME   a connection, see {@link RelayFrames} for what follows
 *   POST /sync/MIGRATION/all     all connections that home has, have had their stream opened before
 *   POST /datagrams/MIGRATION/all  datagrams of all UDP sockets, see {@link PacketStream}
 *   POST /pages/MIGRATION/all    memory, see {@link PageStream}
 *   PUT  /image/MIGRATION/NAME   a file, content-length says how long; answered when it is complete
 * </pre>
 *
 * <p>The answer to each is a status: 200, or an error with its reason in a header. Of a connection
 * that is relayed for the first time home sends DATA before there is an answer.
 */
final class CarrierProtocol {
  private static final Logger log = LoggerFactory.getLogger(CarrierProtocol.class);

  static final String REMOTE_ADDRESS = "exile-remote-address";
  static final String LOCAL_ADDRESS = "exile-local-address";
  private static final String LISTENER = "exile-listener";
  private static final String CONSUMED = "exile-consumed";
  private static final String RECEIVED = "exile-received";
  private static final String FRESH = "exile-fresh";
  private static final String SESSION = "exile-session";
  private static final String REASON = "exile-reason";
  private static final Pattern IMAGE_NAME = Pattern.compile("[A-Za-z0-9._-]{1,255}");
  private static final Pattern SOCKET_NAME = Pattern.compile("[A-Za-z0-9.-]{1,128}");
  private static final Pattern NUMERIC =
      Pattern.compile(
          "([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,7}):[0-9]{1,5}");
  private static final Pattern PATH =
      Pattern.compile("/(relay|sync|datagrams|pages|image)/([A-Za-z0-9._-]{1,128})/([^/]{1,512})");

  private CarrierProtocol() {}

  /** What a stream is for. */
  enum Kind {
    /** A connection. */
    RELAY("POST"),
    /** All connections have their streams. */
    SYNC("POST"),
    /** Datagrams. */
    DATAGRAMS("POST"),
    /** Memory. */
    PAGES("POST"),
    /** A file. */
    IMAGE("PUT");

    private final String method;

    Kind(String method) {
      this.method = method;
    }

    private String path() {
      return switch (this) {
        case RELAY -> "relay";
        case SYNC -> "sync";
        case DATAGRAMS -> "datagrams";
        case PAGES -> "pages";
        case IMAGE -> "image";
      };
    }
  }

  /**
   * A request's target.
   *
   * @param kind what the stream is for
   * @param migration the migration's id
   * @param name a socket's or an image's name; not yet checked
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
   * What home tells of a connection as it opens its stream.
   *
   * @param client its peer's address at home; null where that is not known (any more)
   * @param home its own address there; null where not known
   * @param listener the listener that has accepted it at home, or null
   * @param consumed bytes from the client that home does not have any more
   * @param received bytes from the process that home has, the end counted as one more
   * @param fresh whether it has never had a stream before
   * @param session rises with each carrier that home relays over
   */
  record Opening(
      InetSocketAddress client,
      InetSocketAddress home,
      String listener,
      long consumed,
      long received,
      boolean fresh,
      long session) {
    static Opening of(Http2Headers headers) {
      CharSequence listener = headers.get(LISTENER);
      return new Opening(
          address(headers.get(REMOTE_ADDRESS)),
          address(headers.get(LOCAL_ADDRESS)),
          listener == null ? null : listener.toString(),
          headers.getLong(CONSUMED, 0),
          headers.getLong(RECEIVED, 0),
          headers.contains(FRESH),
          headers.getLong(SESSION, Long.MIN_VALUE));
    }

    void addTo(Http2Headers headers) {
      setSession(headers, session).setLong(CONSUMED, consumed).setLong(RECEIVED, received);
      headers.set(REMOTE_ADDRESS, address(client)).set(LOCAL_ADDRESS, address(home));
      if (listener != null) {
        headers.set(LISTENER, listener);
      }
      if (fresh) {
        headers.set(FRESH, "1");
      }
    }

    /**
     * Whether no byte of it can have reached the destination and been acknowledged, or come back.
     */
    boolean untouched() {
      return consumed == 0 && received == 0;
    }
  }

  static long session(Http2Headers headers) {
    return headers.getLong(SESSION, Long.MIN_VALUE);
  }

  static Http2Headers setSession(Http2Headers headers, long session) {
    return headers.setLong(SESSION, session);
  }

  /**
   * The answer to a request.
   *
   * @param status an HTTP status
   * @param reason why, for an operator; empty on success
   * @param received where it was for a connection: how many of its bytes the destination has, the
   *     end counted as one more
   */
  record Answer(int status, String reason, long received) {
    static final Answer OK = received(0);

    /** The relay does not know the connection (any more). */
    static final int GONE = 410;

    /** The relay cannot go on with it. */
    static final int BROKEN = 500;

    static Answer received(long received) {
      return new Answer(200, "", received);
    }

    static Answer refused(int status, String reason) {
      return new Answer(status, reason, 0);
    }

    static Answer of(Http2Headers headers) {
      CharSequence status = headers.status();
      CharSequence reason = headers.get(REASON);
      return new Answer(
          status == null ? 0 : Integer.parseInt(status.toString()),
          reason == null ? "" : reason.toString(),
          headers.getLong(RECEIVED, 0));
    }

    boolean accepted() {
      return status == 200;
    }

    /**
     * Whether the destination's relay itself has refused the connection. Any other refusal is of an
     * agent that does not know enough (yet): the destination still holds its part.
     */
    boolean isFinal() {
      return status == GONE || status == BROKEN;
    }

    Http2Headers headers() {
      Http2Headers headers = new DefaultHttp2Headers().status(Integer.toString(status));
      headers.setLong(RECEIVED, received);
      return reason.isEmpty() ? headers : headers.set(REASON, printable(reason));
    }

    @Override
    public String toString() {
      return (status + " " + reason).strip();
    }
  }

  static String address(InetSocketAddress address) {
    return address == null ? "" : address.getAddress().getHostAddress() + ":" + address.getPort();
  }

  /** The same from a header: numeric, never a name to be looked up; null where it is none. */
  private static InetSocketAddress address(CharSequence text) {
    if (text == null || !NUMERIC.matcher(text).matches()) {
      return null;
    }
    int colon = text.toString().lastIndexOf(':');
    byte[] raw = NetUtil.createByteArrayFromIpAddressString(text.subSequence(0, colon).toString());
    try {
      if (raw == null) {
        throw new UnknownHostException("neither IPv4 nor IPv6");
      }
      return new InetSocketAddress(
          InetAddress.getByAddress(raw),
          Integer.parseInt(text.subSequence(colon + 1, text.length()).toString()));
    } catch (UnknownHostException | IllegalArgumentException e) {
      log.warn("a stream's header is no address: {}", printable(text.toString()));
      return null;
    }
  }

  /** What may stand in a header: an exception's message may be anything. */
  private static String printable(String text) {
    byte[] ascii = text.getBytes(StandardCharsets.US_ASCII);
    return new String(ascii, StandardCharsets.US_ASCII).replaceAll("[^ -~]", " ").strip();
  }
}
