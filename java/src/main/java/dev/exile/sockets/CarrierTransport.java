package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelConfig;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOption;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.handler.codec.http2.DefaultHttp2Connection;
import io.netty.handler.codec.http2.DefaultHttp2ConnectionDecoder;
import io.netty.handler.codec.http2.DefaultHttp2ConnectionEncoder;
import io.netty.handler.codec.http2.DefaultHttp2FrameReader;
import io.netty.handler.codec.http2.DefaultHttp2FrameWriter;
import io.netty.handler.codec.http2.DefaultHttp2LocalFlowController;
import io.netty.handler.codec.http2.DefaultHttp2RemoteFlowController;
import io.netty.handler.codec.http2.Http2Connection;
import io.netty.handler.codec.http2.Http2ConnectionDecoder;
import io.netty.handler.codec.http2.Http2ConnectionEncoder;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2Flags;
import io.netty.handler.codec.http2.Http2FrameCodec;
import io.netty.handler.codec.http2.Http2FrameListener;
import io.netty.handler.codec.http2.Http2FrameListenerDecorator;
import io.netty.handler.codec.http2.Http2MultiplexHandler;
import io.netty.handler.codec.http2.Http2Settings;
import io.netty.handler.codec.http2.Http2Stream;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.handler.codec.http2.Http2StreamChannelOption;
import io.netty.handler.codec.http2.UniformStreamByteDistributor;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** How a carrier's connection is set up, on both sides. */
final class CarrierTransport {
  /**
   * A host that says nothing for this long is gone: about the time TCP itself would give up a busy
   * connection.
   */
  private static final long DEAD_PEER_MILLIS = TimeUnit.MINUTES.toMillis(2);

  private CarrierTransport() {}

  /** Options of the TCP connection. */
  static void configure(Channel channel) {
    ChannelConfig config = channel.config();
    config.setOptions(
        Map.of(
            ChannelOption.TCP_NODELAY,
            true,
            ChannelOption.SO_KEEPALIVE,
            true,
            EpollChannelOption.TCP_KEEPIDLE,
            30,
            EpollChannelOption.TCP_KEEPINTVL,
            10,
            EpollChannelOption.TCP_KEEPCNT,
            9,
            EpollChannelOption.TCP_USER_TIMEOUT,
            (int) DEAD_PEER_MILLIS));
    // The adaptive allocator, Netty 4.2's default, makes and zeroes new memory for buffers of our
    // sizes.
    config.setAllocator(PooledByteBufAllocator.DEFAULT);
    config.setWriteBufferWaterMark(
        new WriteBufferWaterMark(Tuning.CARRIER_LOW, Tuning.CARRIER_HIGH));
    config.setRecvByteBufAllocator(new FixedRecvByteBufAllocator(Tuning.CARRIER_READ));
  }

  /**
   * Adds HTTP/2 to a connection whose TLS handshake is done.
   *
   * @param server whether streams arrive here
   * @param streams the handler of each arriving stream
   */
  static void addHttp2(Channel channel, boolean server, ChannelHandler streams)
      throws Http2Exception {
    Codec codec = Codec.create(server);
    channel.pipeline().addLast(codec, new Http2MultiplexHandler(streams));
    Http2Connection connection = codec.connection();
    DefaultHttp2LocalFlowController flow =
        (DefaultHttp2LocalFlowController) connection.local().flowController();
    Http2Stream whole = connection.connectionStream();
    flow.incrementWindowSize(whole, Tuning.CONNECTION_WINDOW - flow.windowSize(whole));
    channel.flush();
  }

  /** Options of a stream: its window credit is returned by us, as its bytes find their place. */
  static void configureStream(Channel stream) {
    stream.config().setOption(Http2StreamChannelOption.AUTO_STREAM_FLOW_CONTROL, false);
    stream.config().setAllocator(PooledByteBufAllocator.DEFAULT);
    stream
        .config()
        .setWriteBufferWaterMark(new WriteBufferWaterMark(Tuning.STREAM_LOW, Tuning.STREAM_HIGH));
  }

  /** Gives one stream a larger window than others. */
  static void enlargeWindow(Http2StreamChannel stream, int window) throws Http2Exception {
    Codec codec = stream.parent().pipeline().get(Codec.class);
    Http2Stream http2 = codec.connection().stream(stream.stream().id());
    codec
        .connection()
        .local()
        .flowController()
        .incrementWindowSize(http2, window - Tuning.STREAM_WINDOW);
  }

  /**
   * Passes over extension frames of streams that are closed already, as every receiver must;
   * Netty's codec fails the whole connection.
   */
  private static final class LateFrames extends Http2FrameListenerDecorator {
    private final Http2Connection connection;

    LateFrames(Http2FrameListener listener, Http2Connection connection) {
      super(listener);
      this.connection = connection;
    }

    @Override
    public void onUnknownFrame(
        ChannelHandlerContext ctx, byte type, int stream, Http2Flags flags, ByteBuf payload)
        throws Http2Exception {
      if (connection.stream(stream) != null) {
        super.onUnknownFrame(ctx, type, stream, flags, payload);
      }
    }
  }

  /**
   * The codec, put together by hand. Netty's builder adds limits that protect a public server, such
   * as an end of the connection after 200 RST_STREAM in 30 s; here 500 clients may well reset at
   * once, and the peer is authenticated.
   */
  private static final class Codec extends Http2FrameCodec {
    private Codec(
        Http2ConnectionEncoder encoder, Http2ConnectionDecoder decoder, Http2Settings settings) {
      super(encoder, decoder, settings, false, true);
      // Frames are cut out of what TLS delivered without copying them together first.
      setCumulator(COMPOSITE_CUMULATOR);
      gracefulShutdownTimeoutMillis(0);
    }

    static Codec create(boolean server) {
      Http2Connection connection = new DefaultHttp2Connection(server);
      connection
          .local()
          .flowController(new DefaultHttp2LocalFlowController(connection, 0.5f, true));
      connection
          .remote()
          .flowController(
              new DefaultHttp2RemoteFlowController(
                  connection, new UniformStreamByteDistributor(connection)));
      Http2ConnectionEncoder encoder =
          new DefaultHttp2ConnectionEncoder(connection, new DefaultHttp2FrameWriter());
      Http2ConnectionDecoder decoder =
          new DefaultHttp2ConnectionDecoder(connection, encoder, new DefaultHttp2FrameReader());
      Http2Settings settings =
          new Http2Settings()
              .initialWindowSize(Tuning.STREAM_WINDOW)
              .maxFrameSize(Tuning.MAX_FRAME)
              .maxHeaderListSize(16 << 10);
      if (!server) {
        settings.pushEnabled(false);
      }
      Codec codec = new Codec(encoder, decoder, settings);
      decoder.frameListener(new LateFrames(decoder.frameListener(), connection));
      return codec;
    }
  }
}
