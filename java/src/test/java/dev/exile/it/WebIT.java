package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

@Hosts
class WebIT {

  @Test
  void nginxMovesWithItsWorkersAndADownloadInProgress(Testbed bed) {
    Daemon nginx = Servers.nginx(bed, "a");
    // It answers as soon as its first worker does; each takes its name a little later.
    Await.until(
        Duration.ofSeconds(10),
        () -> "nginx has its two workers: " + nginxProcesses(bed, "a"),
        () -> nginxProcesses(bed, "a").size() == 3);
    Workload download = httpLoad(bed, Servers.NGINX_PORT, "--rate", 8, "download");
    Workload browsers = httpLoad(bed, Servers.NGINX_PORT, "--connections", 20, "--rate", 25, "get");
    download.awaitMore("bytes", 10 << 20);

    Exile.move(bed, nginx, "b");

    assertEquals(3, nginxProcesses(bed, "b").size());
    browsers.awaitMore("answered", 1000);
    assertTrue(
        download.report().path("bytes").asLong() < 200 << 20, "the download was over too early");
    JsonNode downloaded = download.finishUnharmed();
    assertEquals(200 << 20, downloaded.path("bytes").asLong());
    JsonNode browsed = browsers.finishUnharmed();
    assertEquals(0, browsed.path("reconnects").asInt(), browsed::toString);
  }

  @Test
  void pythonHttpServerMovesUnderLoad(Testbed bed) {
    Daemon server = Servers.pythonHttp(bed, "a");
    Workload browsers =
        httpLoad(bed, Servers.PYTHON_PORT, "--connections", 10, "--rate", 25, "get");
    Workload download =
        httpLoad(bed, Servers.PYTHON_PORT, "--megabytes", 20, "--rate", 3, "download");
    browsers.awaitMore("answered", 200);

    Exile.move(bed, server, "b");

    browsers.awaitMore("answered", 600);
    download.finishUnharmed();
    JsonNode browsed = browsers.finishUnharmed();
    assertEquals(0, browsed.path("reconnects").asInt(), browsed::toString);
  }

  private static List<Proc> nginxProcesses(Testbed bed, String host) {
    return bed.processes(host).stream()
        .filter(process -> process.running() && process.command().startsWith("nginx: "))
        .toList();
  }

  private static Workload httpLoad(Testbed bed, int port, Object... options) {
    List<Object> arguments =
        new java.util.ArrayList<>(List.of("--host", bed.ip("a"), "--port", port));
    arguments.addAll(List.of(options));
    return Workload.start(bed, "c", "http_load.py", arguments.toArray());
  }
}
