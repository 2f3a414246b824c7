/** The command line: one class per command. All work is the agent's; here it is asked and shown. */
package dev.exile.cli;
