/**
 * Keys and trust: a small certificate authority, a host's own identity, and the TLS contexts made
 * of both.
 *
 * <p>Trust rests on two things together: the one CA has signed the peer's certificate, and the name
 * in it is a host that the configuration knows. There is no revocation list; a host is shut out by
 * taking it out of the peers of every agent.
 */
package dev.exile.keys;
