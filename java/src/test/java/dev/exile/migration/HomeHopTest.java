package dev.exile.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.exile.negotiation.Host;
import dev.exile.rpc.peer.Offer;
import java.io.IOException;
import org.junit.jupiter.api.Test;

class HomeHopTest {
  @Test
  void aNewerHostThatItLeavesAsksNoMoreOfTheNextOneThanHomeDid() throws IOException {
    Offer atNewerHost =
        Offer.newBuilder()
            .setPid(7)
            .setKernel("99.9.0")
            .setCriuVersion("4.2")
            .addCpuFeatures("of-2040")
            .build();

    Offer offer = HomeHop.asStartedHere(atNewerHost).build();

    assertEquals(Host.kernel(), offer.getKernel());
    assertEquals(Host.cpuFeatures().size(), offer.getCpuFeaturesCount());
    assertEquals("4.2", offer.getCriuVersion(), "whoever restores must read what was dumped");
    assertEquals(7, offer.getPid());
  }
}
