package dev.exile.sockets;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.handler.ssl.SslContext;
import io.netty.util.concurrent.GlobalEventExecutor;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The destination's side of all carriers: accepts their connections and hands each stream to the
 * migration that it names. A stream for a migration that is not registered, or from another peer
 * than the registered one, is refused and logged.
 */
public final class CarrierServer implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(CarrierServer.class);
  private static final int IDLE_SECONDS = 5;

  private final Map<String, Registration> migrations = new ConcurrentHashMap<>();
  private final ChannelGroup connections = new DefaultChannelGroup(GlobalEventExecutor.INSTANCE);
  private final SslContext tls;
  private final EventLoopGroup group;
  private Channel listener;

  /**
   * What a migration accepts.
   *
   * @param peerName whose streams
   * @param imageDirectory where files go
   * @param relay takes the sockets
   * @param datagrams takes those of its UDP sockets; null where it has none
   * @param pages takes its memory; null where it takes none (any more)
   * @param bytesLeft how many bytes of files may still be announced
   */
  record Registration(
      String peerName,
      Path imageDirectory,
      DestinationRelay relay,
      AtomicReference<DestinationDatagrams> datagrams,
      AtomicReference<Function<PageStream, PageStream.End>> pages,
      AtomicLong bytesLeft) {
    /** Sets bytes aside, if there are as many. */
    boolean reserve(long bytes) {
      if (bytes < 0 || bytesLeft.addAndGet(-bytes) < 0) {
        bytesLeft.addAndGet(Math.max(0, bytes));
        return false;
      }
      return true;
    }
  }

  /**
   * A server that does not listen yet: migrations that are known already are registered first.
   *
   * @param tls a server context with our certificate, client authentication required, ALPN "h2"
   * @param group event loops with epoll; each carrier connection takes one
   */
  public CarrierServer(SslContext tls, EventLoopGroup group) {
    this.tls = tls;
    this.group = group;
  }

  /**
   * Listens.
   *
   * @param bind the agent's address; port 0 for any
   * @throws IOException if the address cannot be bound
   */
  public void listen(InetSocketAddress bind) throws IOException {
    ChannelFuture bound =
        new ServerBootstrap()
            .group(group)
            .channel(EpollServerSocketChannel.class)
            .childHandler(new Initializer(tls))
            .bind(bind)
            .awaitUninterruptibly();
    if (!bound.isSuccess()) {
      throw new IOException(
          "cannot listen for carriers on " + bind + ": " + bound.cause().getMessage(),
          bound.cause());
    }
    listener = bound.channel();
  }

  /** Where it listens. */
  public InetSocketAddress address() {
    return (InetSocketAddress) listener.localAddress();
  }

  /**
   * Admits a migration.
   *
   * @param migration its id: letters, digits, dot, dash and underscore
   * @param peerName the name in home's certificate
   * @param imageDirectory an existing directory for the files that home sends
   * @param relay takes home's sockets
   * @param maxBytes how many bytes of files may come in all
   */
  public void register(
      String migration,
      String peerName,
      Path imageDirectory,
      DestinationRelay relay,
      long maxBytes) {
    Registration entry =
        new Registration(
            peerName,
            imageDirectory,
            relay,
            new AtomicReference<>(),
            new AtomicReference<>(),
            new AtomicLong(maxBytes));
    if (migrations.putIfAbsent(migration, entry) != null) {
      throw new IllegalStateException("migration " + migration + " is already registered");
    }
  }

  /** Admits the datagrams of a registered migration. */
  public void admit(String migration, DestinationDatagrams datagrams) {
    migrations.get(migration).datagrams().set(datagrams);
  }

  /**
   * Admits the memory of a registered migration.
   *
   * @param end called with each stream that comes, on its event loop, for who is to deal with it
   */
  public void admitPages(String migration, Function<PageStream, PageStream.End> end) {
    migrations.get(migration).pages().set(end);
  }

  /** Ends the admission of further streams; those that run go on. */
  public void unregister(String migration) {
    migrations.remove(migration);
  }

  /**
   * Closes all carrier connections and stops listening. Relays are not closed: they have owners.
   */
  @Override
  public void close() {
    if (listener != null) {
      listener.close().awaitUninterruptibly();
    }
    connections.close().awaitUninterruptibly();
  }

  /**
   * Writes what comes over one carrier, in order: whoever is slow holds up nobody else's. Its
   * thread ends while there is nothing to do.
   */
  private static Executor writer() {
    ThreadPoolExecutor writer =
        new ThreadPoolExecutor(
            1,
            1,
            IDLE_SECONDS,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            task -> {
              Thread thread = new Thread(task, "exile-writer");
              thread.setDaemon(true);
              return thread;
            });
    writer.allowCoreThreadTimeOut(true);
    return writer;
  }

  /** Sets up a connection from a home. */
  private final class Initializer extends ChannelInitializer<EpollSocketChannel> {
    private final SslContext tls;

    Initializer(SslContext tls) {
      this.tls = tls;
    }

    @Override
    protected void initChannel(EpollSocketChannel channel) {
      CarrierTransport.configure(channel);
      channel.pipeline().addLast(tls.newHandler(channel.alloc()), new Handshake(new Admission()));
    }
  }

  /** A home that has shown who it is. */
  private final class Admission implements Handshake.Next {
    @Override
    public void authenticated(Channel channel, String peerName) throws Http2Exception {
      connections.add(channel);
      log.info("carrier connection from {} at {}", peerName, channel.remoteAddress());
      Executor writer = writer();
      CarrierTransport.addHttp2(
          channel,
          true,
          new ChannelInitializer<Http2StreamChannel>() {
            @Override
            protected void initChannel(Http2StreamChannel stream) {
              CarrierTransport.configureStream(stream);
              stream
                  .pipeline()
                  .addLast(new RequestRouter(stream, peerName, migrations::get, writer));
            }
          });
      channel.pipeline().addLast(new CarrierErrors());
    }

    @Override
    public void refused(Throwable cause) {
      // Logged by the handshake; there is nothing to undo.
    }
  }
}
