/** The daemon on each host: its configuration, its wiring, its services and the negotiation. */
package dev.exile.agent;
