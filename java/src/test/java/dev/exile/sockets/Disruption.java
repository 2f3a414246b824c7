package dev.exile.sockets;

import java.io.IOException;

/** What may happen to a relay without its connections noticing. */
enum Disruption {
  /** The carrier is lost. */
  CUT {
    @Override
    void begin(RelayFixture relay) {
      relay.cut();
    }

    @Override
    void end(RelayFixture relay) {
      // home makes another by itself
    }
  },
  /** Home's agent is killed and started again. */
  HOME_KILLED {
    @Override
    void begin(RelayFixture relay) throws IOException {
      relay.killHome();
    }

    @Override
    void end(RelayFixture relay) throws IOException {
      relay.restartHome();
    }
  },
  /** The destination's agent is killed and started again. */
  DESTINATION_KILLED {
    @Override
    void begin(RelayFixture relay) {
      relay.killDestination();
    }

    @Override
    void end(RelayFixture relay) throws IOException {
      relay.restartDestination();
    }
  };

  abstract void begin(RelayFixture relay) throws IOException;

  abstract void end(RelayFixture relay) throws IOException;
}
