package dev.exile.it;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ExtendWith;

/** Gives a test class a test bed with these hosts; its tests take it as a parameter. */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(TestbedExtension.class)
@interface Hosts {
  String[] value() default {"a", "b", "c"};

  /** Whether the hosts have agents. */
  boolean agents() default true;

  /** Options for the agents' JVMs. */
  String agentOptions() default "";

  /** The hosts' agents start CRIU through criu_on_demand.sh, which can be told to fail. */
  boolean frailCriu() default false;

  /** Additional lines of the agents' configuration, as HOST=LINE. */
  String[] config() default {};
}
