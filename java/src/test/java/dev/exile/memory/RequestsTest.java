package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class RequestsTest {
  private static final int PID = 7;
  private final Requests requests = new Requests();

  private List<Requests.Range> rest() throws InterruptedException {
    List<Requests.Range> all = new ArrayList<>();
    for (Requests.Range next = requests.next(0); next != null; next = requests.next(0)) {
      all.add(next);
    }
    return all;
  }

  @Test
  void allThatIsMissingComesOnceInSlices() throws InterruptedException {
    requests.miss(PID, 0x100000, 0x145000);
    requests.miss(PID, 0x200000, 0x201000);
    assertEquals(
        List.of(
            new Requests.Range(PID, 0x100000, 0x120000),
            new Requests.Range(PID, 0x120000, 0x140000),
            new Requests.Range(PID, 0x140000, 0x145000),
            new Requests.Range(PID, 0x200000, 0x201000)),
        rest());
  }

  @Test
  void whatSomebodyWaitsForComesFirstWithWhatFollowsIt() throws InterruptedException {
    requests.miss(PID, 0x100000, 0x200000);
    requests.want(PID, 0x180000);

    assertEquals(new Requests.Range(PID, 0x180000, 0x190000), requests.next(0));

    List<Requests.Range> rest = rest();
    long bytes = rest.stream().mapToLong(range -> range.end() - range.start()).sum();
    assertEquals(0x100000 - 0x10000, bytes);
    assertTrue(
        rest.stream().noneMatch(r -> r.start() < 0x190000 && r.end() > 0x180000), rest::toString);
  }

  @Test
  void aPageThatWasSentAlreadyComesAgainToWhoWaitsForIt() throws InterruptedException {
    requests.miss(PID, 0x100000, 0x101000);
    requests.want(PID, 0x100000);
    requests.want(PID, 0x100000);

    Requests.Range page = new Requests.Range(PID, 0x100000, 0x101000);
    assertEquals(List.of(page, page), rest());
  }

  @Test
  void whatIsForgottenIsNotSent() throws InterruptedException {
    requests.miss(PID, 0x100000, 0x200000);
    requests.want(PID, 0x100000);
    requests.clear();
    assertNull(requests.next(1));
  }
}
