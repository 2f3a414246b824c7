package dev.exile.it;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.tools.ToolProvider;

/** The real servers that the tests move. All run as root: design, section 4. */
final class Servers {
  static final int REDIS_PORT = 6379;
  static final int NGINX_PORT = 8080;
  static final int PYTHON_PORT = 8081;
  static final int MEMCACHED_PORT = 11211;
  static final int ECHO_PORT = 7000;
  static final int SEEDED_PORT = 7100;

  static final int MIRROR_PORT = 7200;
  static final int STATES_PORT = 7300;

  private Servers() {}

  static Daemon redis(Testbed bed, String host) {
    return redis(bed, host, "redis-server");
  }

  /**
   * Starts redis without persistence.
   *
   * @param program the executable
   */
  static Daemon redis(Testbed bed, String host, String program) {
    Daemon redis =
        bed.daemon(
            host,
            program,
            "--port",
            "" + REDIS_PORT,
            "--protected-mode",
            "no",
            "--save",
            "",
            "--appendonly",
            "no",
            "--tcp-backlog",
            "1024");
    bed.awaitListening(host, REDIS_PORT);
    return redis;
  }

  /** Starts nginx with two workers and the tests' files; /big has 200 MB. */
  static Daemon nginx(Testbed bed, String host) {
    Path folder = bed.work().resolve("nginx");
    Path config = folder.resolve("nginx.conf");
    try {
      Files.createDirectories(folder.resolve("files"));
      Files.writeString(config, nginxConfig(folder));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Commands.run(java.util.Map.of(), Workload.python("web_files.py", folder.resolve("files"), 200))
        .orFail();
    Daemon nginx = bed.daemon(host, "nginx", "-p", folder.toString(), "-c", config.toString());
    bed.awaitListening(host, NGINX_PORT);
    return nginx;
  }

  private static String nginxConfig(Path folder) {
    return """
        user root;
        daemon off;
        worker_processes 2;
        pid %1$s/nginx.pid;
        error_log %1$s/error.log;
        events { worker_connections 1024; }
        http {
          access_log %1$s/access.log;
          keepalive_timeout 1h;
          keepalive_requests 1000000;
          client_body_temp_path %1$s/body;
          proxy_temp_path %1$s/proxy;
          fastcgi_temp_path %1$s/fastcgi;
          uwsgi_temp_path %1$s/uwsgi;
          scgi_temp_path %1$s/scgi;
          server {
            listen %2$d;
            root %1$s/files;
          }
        }
        """
        .formatted(folder, NGINX_PORT);
  }

  static Daemon pythonHttp(Testbed bed, String host) {
    Daemon server = bed.python(host, "python_http.py", "0.0.0.0", PYTHON_PORT);
    bed.awaitListening(host, PYTHON_PORT);
    return server;
  }

  static Daemon memcached(Testbed bed, String host) {
    Daemon server = bed.daemon(host, "memcached", "-u", "root", "-p", "" + MEMCACHED_PORT);
    bed.awaitListening(host, MEMCACHED_PORT);
    return server;
  }

  /**
   * Starts the echo server in Python, which also takes IPv6 clients if its address is {@code ::}.
   */
  static Daemon pythonEcho(Testbed bed, String host, String address) {
    Daemon server = bed.python(host, "echo_server.py", address, ECHO_PORT);
    bed.awaitListening(host, ECHO_PORT);
    return server;
  }

  /** Starts the echo server on a JVM of its own. */
  static Daemon javaEcho(Testbed bed, String host) {
    int compiled =
        ToolProvider.getSystemJavaCompiler()
            .run(null, null, null, "-d", bed.work().toString(), Workload.path("EchoServer.java"));
    if (compiled != 0) {
      throw new AssertionError("EchoServer.java does not compile");
    }
    String java = Path.of(System.getProperty("java.home"), "bin/java").toString();
    Daemon server =
        bed.daemon(
            host,
            java,
            "-Xmx64m",
            "-XX:-UsePerfData",
            "-cp",
            bed.work().toString(),
            "EchoServer",
            "0.0.0.0",
            "" + ECHO_PORT);
    bed.awaitListening(host, ECHO_PORT);
    return server;
  }

  static Daemon seeded(Testbed bed, String host, String address) {
    Daemon server = bed.python(host, "seeded_server.py", address, SEEDED_PORT);
    bed.awaitListening(host, SEEDED_PORT);
    return server;
  }

  /** Starts the server that tells its clients what it sees of them. */
  static Daemon mirror(Testbed bed, String host, String address) {
    return listening(bed, host, bed.python(host, "mirror_server.py", address, MIRROR_PORT));
  }

  /** The same with as many workers, each with a listener of its own on the same port. */
  static Daemon mirror(Testbed bed, String host, String address, int workers) {
    return listening(
        bed, host, bed.python(host, "mirror_server.py", address, MIRROR_PORT, workers));
  }

  private static Daemon listening(Testbed bed, String host, Daemon server) {
    bed.awaitListening(host, MIRROR_PORT);
    return server;
  }

  /** Starts the server with connections in every state. */
  static Daemon tcpStates(Testbed bed, String host, String address) {
    Daemon server = bed.python(host, "tcp_states.py", address, STATES_PORT);
    bed.awaitListening(host, STATES_PORT);
    return server;
  }
}
