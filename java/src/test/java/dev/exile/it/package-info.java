/**
 * Real migrations between the hosts of a test bed, driven and judged from outside: by the packaged
 * command line, by clients that check every byte, and by what the machine shows of the processes.
 */
package dev.exile.it;
