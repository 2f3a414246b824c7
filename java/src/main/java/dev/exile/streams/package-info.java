/**
 * What a moved process shares with those who stay: pipes, FIFOs, files that it writes. The shim's
 * job {@code pump} moves the bytes at either end, relayed connections carry them between the hosts.
 */
package dev.exile.streams;
