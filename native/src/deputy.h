/* What deputize hands to the deputy, by environment: its command line belongs to ps. */
#ifndef EXILE_DEPUTY_H
#define EXILE_DEPUTY_H

#define DEPUTY_ENV_ID "EXILE_DEPUTY"     /* the migration; set: this process is a deputy */
#define DEPUTY_ENV_SOCKET "EXILE_SOCKET" /* the agent's unix socket */
#define DEPUTY_ENV_STANDS "EXILE_STANDS" /* changed in place: the deputy's own answer to who has stopped it */
#define DEPUTY_STANDS_OWN "own"          /* it was told to stop */
#define DEPUTY_STANDS_NOT "not"

#endif
