package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.platform.commons.support.AnnotationSupport;

/**
 * One test bed per class. After each test nothing of it may be left in any host, after the class
 * nothing on the machine; a test that breaks this fails, and the next one gets a fresh test bed.
 */
final class TestbedExtension
    implements ExecutionCondition,
        ParameterResolver,
        AfterTestExecutionCallback,
        AfterEachCallback,
        AfterAllCallback {

  private static final ExtensionContext.Namespace STORE =
      ExtensionContext.Namespace.create(TestbedExtension.class);
  private static final Duration SETTLE = Duration.ofSeconds(10);
  private static final Map<String, Integer> SKIPPED = new ConcurrentHashMap<>();

  static {
    Runtime.getRuntime().addShutdownHook(new Thread(TestbedExtension::tellSkipped, "skipped"));
  }

  @Override
  public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
    Optional<String> lacking = lacking();
    if (lacking.isEmpty()) {
      return ConditionEvaluationResult.enabled("test beds work here");
    }
    SKIPPED.merge(lacking.get(), 1, Integer::sum);
    return ConditionEvaluationResult.disabled(lacking.get());
  }

  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
    return parameter.getParameter().getType() == Testbed.class;
  }

  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
    ExtensionContext.Store store = classStore(context);
    Testbed bed = store.get("bed", Testbed.class);
    if (bed == null) {
      bed = up(context.getRequiredTestClass());
      store.put("bed", bed);
    }
    return bed;
  }

  @Override
  public void afterTestExecution(ExtensionContext context) throws IOException {
    Testbed bed = classStore(context).get("bed", Testbed.class);
    if (bed != null && context.getExecutionException().isPresent()) {
      Diagnosis.save(bed, name(context));
    }
  }

  @Override
  public void afterEach(ExtensionContext context) throws IOException {
    Testbed bed = classStore(context).get("bed", Testbed.class);
    if (bed == null) {
      return;
    }
    boolean failed = context.getExecutionException().isPresent();
    bed.endWorkloads();
    try {
      Await.until(
          SETTLE,
          () -> "nothing left over, but: " + bed.leftovers(),
          () -> bed.leftovers().isEmpty());
    } catch (AssertionError left) {
      if (!failed) {
        Diagnosis.save(bed, name(context));
      }
      failed = true;
      throw left;
    } finally {
      if (failed) {
        classStore(context).remove("bed");
        bed.close();
      }
    }
  }

  @Override
  public void afterAll(ExtensionContext context) {
    Testbed bed = classStore(context).remove("bed", Testbed.class);
    if (bed != null) {
      bed.close();
      assertEquals(List.of(), bed.remains());
    }
  }

  private static Testbed up(Class<?> test) {
    Hosts hosts = AnnotationSupport.findAnnotation(test, Hosts.class).orElseThrow();
    Map<String, StringBuilder> config = new TreeMap<>();
    for (String extra : hosts.config()) {
      String[] parts = extra.split("=", 2);
      config.computeIfAbsent(parts[0], h -> new StringBuilder()).append(parts[1]).append('\n');
    }
    if (hosts.frailCriu()) {
      for (String host : hosts.value()) {
        config
            .computeIfAbsent(host, h -> new StringBuilder())
            .append("criu: " + Workload.path("criu_on_demand.sh") + "\n");
      }
    }
    List<String> options = new ArrayList<>();
    if (!hosts.agents()) {
      options.add("--no-agents");
    }
    List<Path> files = new ArrayList<>();
    try {
      for (Map.Entry<String, StringBuilder> extra : config.entrySet()) {
        Path file = Files.createTempFile("exile-it-", ".yaml");
        files.add(file);
        Files.writeString(file, extra.getValue());
        options.addAll(List.of("--config-extra", extra.getKey() + "=" + file));
      }
      return Testbed.up(options, List.of(hosts.value()), hosts.agentOptions());
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    } finally {
      files.forEach(file -> file.toFile().delete());
    }
  }

  private static Optional<String> lacking() {
    if (!"root".equals(System.getProperty("user.name"))) {
      return Optional.of("test beds need root");
    }
    if (!Files.isExecutable(Path.of("/opt/exile/criu/current"))) {
      return Optional.of("no CRIU that works on this kernel; run scripts/setup");
    }
    return Optional.empty();
  }

  private static void tellSkipped() {
    SKIPPED.forEach((cause, count) -> System.err.println("skipped " + count + ": " + cause));
  }

  private static ExtensionContext.Store classStore(ExtensionContext context) {
    ExtensionContext owner = context;
    while (owner.getTestMethod().isPresent()) {
      owner = owner.getParent().orElseThrow();
    }
    return owner.getStore(STORE);
  }

  private static String name(ExtensionContext context) {
    // The last part of the id tells the invocations of a parameterized test apart.
    String id = context.getUniqueId();
    String invocation = id.substring(id.lastIndexOf(':') + 1).replaceAll("\\D", "");
    return context.getRequiredTestClass().getSimpleName()
        + "."
        + context.getRequiredTestMethod().getName()
        + (id.contains("invocation") ? "." + invocation : "");
  }
}
