package dev.exile.cli;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;

/** The answer to a cancel as {@code -o json} prints it. */
@JsonPropertyOrder({"id", "cancelled", "message"})
record CancelView(String id, boolean cancelled, String message) {}
