package dev.exile.negotiation;

/**
 * A reason not to move a process.
 *
 * @param what what is in the way, with the value
 * @param remedy what the operator can do about it
 */
public record Refusal(String what, String remedy) {}
