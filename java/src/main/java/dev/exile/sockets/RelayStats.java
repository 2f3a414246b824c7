package dev.exile.sockets;

/**
 * What a relay has done so far.
 *
 * @param open connections that are being relayed now
 * @param opened connections relayed since the relay began, those included that existed at the
 *     freeze
 * @param accepted connections among them that were newly accepted at home
 * @param bytesToProcess bytes that went to the process
 * @param bytesFromProcess bytes that came from the process
 * @param resets connections that ended by a reset or another failure, whoever caused it
 */
public record RelayStats(
    long open,
    long opened,
    long accepted,
    long bytesToProcess,
    long bytesFromProcess,
    long resets) {}
