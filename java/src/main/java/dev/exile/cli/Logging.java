package dev.exile.cli;

import io.netty.util.internal.logging.InternalLoggerFactory;
import io.netty.util.internal.logging.JdkLoggerFactory;
import java.util.logging.Level;
import java.util.logging.Logger;

/** Who may write to standard error besides the commands themselves. */
final class Logging {
  /** Read by logback.xml. */
  private static final String LEVEL_PROPERTY = "exile.log.level";

  /** Kept here: java.util.logging holds its loggers weakly and would forget their levels. */
  private static final Logger ROOT = Logger.getLogger("");

  private Logging() {}

  /** Libraries keep quiet, and Logback is not even loaded: it takes a tenth of a second. */
  static void forCommandLine(boolean verbose) {
    if (System.getProperty(LEVEL_PROPERTY) == null) {
      System.setProperty(LEVEL_PROPERTY, "WARN");
    }
    InternalLoggerFactory.setDefaultFactory(JdkLoggerFactory.INSTANCE);
    ROOT.setLevel(verbose ? Level.WARNING : Level.OFF);
  }

  /** The agent's log is its standard error, for systemd's journal to keep. */
  static void forAgent() {
    System.setProperty(LEVEL_PROPERTY, "INFO");
    InternalLoggerFactory.setDefaultFactory(
        io.netty.util.internal.logging.Slf4JLoggerFactory.INSTANCE);
    ROOT.setLevel(Level.INFO);
    // gRPC writes to java.util.logging.
    org.slf4j.bridge.SLF4JBridgeHandler.removeHandlersForRootLogger();
    org.slf4j.bridge.SLF4JBridgeHandler.install();
  }
}
