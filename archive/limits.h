/* Every cap on what comes from outside, in one place: lengths in bytes, counts, waits in
 * milliseconds. What a peer or a file announces is compared with these before anything is allocated
 * or waited for. */
#pragma once

#include <stdint.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Mail */
#define LIMIT_UIDL	       1024	     /* RFC 1939 says 70; longer ones exist */
#define LIMIT_MESSAGE_DEFAULT  (1 * GIB)     /* max-message-size where none is configured */
#define LIMIT_MESSAGE	       (8 * GIB - 1) /* what a ustar header can say */
#define LIMIT_SPOOL_MEMORY     (8 * MIB)     /* of one message in memory; the rest is a file */
#define LIMIT_SPOOL_MEMORY_ALL (20 * MIB)    /* of all messages in memory at once */
#define LIMIT_SPOOL_SMALL      (64 * KIB)    /* a message of this size is in memory in any case */

/* POP3 */
#define LIMIT_REPLY_LINE   (8 * KIB) /* a status line or a line of a listing */
#define LIMIT_CAPA_LINES   256
#define LIMIT_LISTED	   2000000     /* messages in one maildrop */
#define LIMIT_LISTED_UIDLS (128 * MIB) /* their UIDLs, in bytes */
#define LIMIT_COMMANDS	   8192	       /* POP3 commands queued and in flight in one session */
#define LIMIT_SASL_LINE	   (12 * KIB)  /* RFC 4954 section 4 gives 12288 for base64 lines */
#define LIMIT_CONNECTIONS  256	       /* of one event loop: libcurl walks them for each receive */
#define LIMIT_GREETING                                                                             \
	(512 * KIB)		      /* libcurl's buffer while it connects: it drops what         \
				       * one line has beyond, and waits on */
#define LIMIT_RECEIVE	   (64 * KIB) /* octets taken from a connection at once */
#define LIMIT_WINDOW	   4096	      /* RETR commands in flight */
#define LIMIT_WINDOW_BYTES (64 * MIB) /* announced octets in flight */

/* IMAP, as a target of mail */
#define LIMIT_IMAP_LINE (64 * KIB) /* a response without its literals */
#define LIMIT_IMAP_LITERAL                                                                         \
	(4 * KIB)		      /* kept of a literal in a response; the rest is passed over  \
				       */
#define LIMIT_IMAP_LITERALS	16    /* in one response */
#define LIMIT_IMAP_UNASKED	10000 /* responses between two replies that no command asked for */
#define LIMIT_IMAP_DEPTH	16    /* of nested parentheses in one response */
#define LIMIT_IMAP_FLAGS	4096  /* of a mailbox, or of one message, as text */
#define LIMIT_IMAP_COMMANDS	4096  /* queued and in flight in one session */
#define LIMIT_IMAP_WINDOW	256   /* APPENDs without a reply: all are in doubt after a cut */
#define LIMIT_IMAP_WINDOW_BYTES (4 * MIB) /* of their mail, unless one message is larger */
#define LIMIT_IMAP_BATCH	64 /* messages in one MULTIAPPEND: all or none of them arrive */
#define LIMIT_IMAP_BATCH_BYTES	(1 * MIB) /* of their mail */
#define LIMIT_IMAP_WAIT_MS	3600000	  /* of what a server asks us to wait */

/* Restoring into mailboxes */
#define LIMIT_FOLDER_LEVEL	  200 /* bytes of one level of a folder's path */
#define LIMIT_JOURNAL_LINE	  (16 * KIB)
#define LIMIT_RESTORE_FOLDERS	  16384	    /* in one run */
#define LIMIT_RESTORE_MESSAGES	  16777216  /* likewise: 36 bytes of memory for each */
#define LIMIT_RESTORE_CANDIDATES  1048576   /* messages of the target that may be one of ours */
#define LIMIT_RESTORE_CONNECTIONS 32	    /* --connections, at most */
#define LIMIT_RESTORE_JOBS	  512	    /* messages read and not taken by the server yet */
#define LIMIT_RESTORE_BYTES	  (8 * MIB) /* of them, unless one is larger */
#define LIMIT_RESTORE_SETTLE_MS	  3000	    /* until a server has done what a cut session asked */
#define LIMIT_RESTORE_WAIT_MS	  300000    /* between two tries, where the server does not say */
#define LIMIT_MIGRATE_JOBS	  32	    /* mailboxes at once */
#define LIMIT_RESTORE_TRIES	  12	    /* in a row that brought nothing */

/* Logging in */
#define LIMIT_LOGIN_INPUT      (128 * KIB) /* answers that were not looked at yet */
#define LIMIT_SCRAM_ITERATIONS 250000	   /* usual: 4096 to 15000; PBKDF2 holds up the loop */

#define LIMIT_INTAKE_BYTES (8 * MIB) /* of mail that waits for the writer, before sockets wait */
#define LIMIT_REPEATED	   10000     /* messages that share their UIDL, in one session */
#define LIMIT_BREAKS	   2 /* sessions that broke inside one message before it is refused */
#define LIMIT_SYSTEM_ERRORS                                                                        \
	3		     /* [SYS/…] answers to RETR in a row before the server is left alone \
			      */
#define LIMIT_SUSPECTS	 256 /* messages that broke sessions, remembered in one poll */
#define LIMIT_BARREN	 64  /* sessions in a row that brought no message */
#define LIMIT_PROBES	 8   /* NOOPs that confirm a message that is still shorter than announced */
#define LIMIT_DOUBTS	 16  /* messages shorter than announced before sizes say nothing */
#define LIMIT_RECONNECTS 10000 /* sessions in one poll, each of which got something done */
/* A listing that may have been a part of the maildrop: Gmail and others list some 250 at once */
#define LIMIT_PARTIAL_FEW  100	/* fewer new ones than this: nobody holds back so little */
#define LIMIT_PARTIAL_MANY 1000 /* more listed than this: it is the whole */
#define LIMIT_TRICKLE	   512	/* octets in `timeout` that count as progress */

/* Waits */
#define LIMIT_CONNECT_MS  30000
#define LIMIT_REPLY_MS	  60000 /* without a byte from the server; see `timeout` */
#define LIMIT_IN_USE_MS	  60000 /* for a maildrop that our own dropped session still locks */
#define LIMIT_QUIT_MS	  5000
#define LIMIT_LOCK_MS	  60000	   /* for one's turn to commit */
#define LIMIT_SECRET_MS	  60000	   /* for a password-command or token-command */
#define LIMIT_ALERT_MS	  60000	   /* for an alert-command */
#define LIMIT_HANDOVER_MS 21600000 /* for a seal-command, with one file: six hours */

/* The runner */
#define LIMIT_RUNNER_COMMANDS 16  /* password-commands that run at once; the others wait */
#define LIMIT_RUNNER_ASKS     512 /* secrets asked for and not answered yet */
#define LIMIT_RUNNER_QUEUE    640 /* requests that its socket did not take yet */
#define LIMIT_RUNNER_START_MS 30000
#define LIMIT_RUNNER_STOP_MS  5000 /* for alerts that are there when the service ends */
#define LIMIT_ALERTS	      64   /* that wait for the one that runs; then the oldest goes */

/* The service */
#define LIMIT_LOGIN_DELAY_S   86400	 /* of an announced LOGIN-DELAY, RFC 2449 section 6.5 */
#define LIMIT_CONTROL_CLIENTS 32	 /* connected at once */
#define LIMIT_CONTROL_REQUEST (1 * MIB)	 /* a line: every account by its name fits */
#define LIMIT_CONTROL_REPLY   (64 * KIB) /* a line */
#define LIMIT_CONTROL_DEPTH   8		 /* of nested JSON */
#define LIMIT_CONTROL_LAG     (64 * KIB) /* unread, before progress is left out */
#define LIMIT_CONTROL_OUTPUT  (16 * MIB) /* unread: the state of LIMIT_ACCOUNTS fits */
#define LIMIT_CONTROL_MS      10000	 /* for a whole request */
#define LIMIT_CONTROL_END_MS  300000	 /* for the rest of an answer: somebody pages through it */
#define LIMIT_METRICS	      (64 * MIB) /* the file: LIMIT_ACCOUNTS of eight lines each */

/* Secrets and configuration */
#define LIMIT_SECRET		   (16 * KIB)
#define LIMIT_CONFIG_FILE	   (16 * MIB)
#define LIMIT_ACCOUNTS		   10000
#define LIMIT_ACCOUNT_NAME	   64
#define LIMIT_USER		   320 /* RFC 5321 section 4.5.3.1: 64 + "@" + 255 */
#define LIMIT_CONFIG_VALUE	   4096
#define LIMIT_INCLUDE_DEPTH	   8
#define LIMIT_SESSIONS_SERVER_MOST 64 /* that can be configured; of all it is LIMIT_CONNECTIONS */
#define LIMIT_SESSIONS		   64 /* max-sessions where none is configured */
#define LIMIT_SESSIONS_SERVER	   4  /* max-sessions-per-server, likewise */

/* The archive on disk */
#define LIMIT_LEDGER_LINE  (16 * KIB)
#define LIMIT_LEDGER_GROUP (32 * MIB) /* text of one group of lines with its commit */
#ifndef LIMIT_LEDGER_FILE	      /* the crash tests build with a small one */
#define LIMIT_LEDGER_FILE (64 * MIB)  /* a new ledger file begins here */
#endif
#define LIMIT_GROUP_BYTES                                                                          \
	(8 * MIB)		    /* of mail in one group commit, unless one message is larger   \
				     */
#define LIMIT_LISTING_UIDLS    4096 /* that vanish, or become pending, in one ITEM_LISTING */
#define LIMIT_GROUP_ITEMS      16384
#define LIMIT_GROUP_MS	       1000	 /* the oldest of a group waits no longer */
#define LIMIT_FRAME	       (1 * MIB) /* decoded bytes after which an open segment's frame ends */
#define LIMIT_FRAME_ENTRY      (4 * MIB) /* an entry larger than this spans frames of this size */
#define LIMIT_FRAME_WINDOW_LOG 23 /* a frame that needs more than 8 MiB to decode is refused */
#define LIMIT_POPKEEP_FILE     (64 * KIB)  /* ARCHIVE/POPKEEP */
#define LIMIT_ASIDE_BYTES      (256 * MIB) /* of cut bytes kept aside */
#define LIMIT_ASIDE_FILES      64
#define LIMIT_CLASS	       64   /* a retention class's name */
#define LIMIT_ACCEPT_REASON    255  /* why somebody accepts that a message cannot be had */
#define LIMIT_FOLDER	       1024 /* bytes of a folder's path, of imports */
#define LIMIT_FLAGS	       1024 /* bytes of a message's flags, likewise */
#define LIMIT_QUERY	       2048 /* bytes of a query, as the ledger tells it */
#define LIMIT_QUERY_DEPTH      64   /* of its tree */
#define LIMIT_QUERY_TERMS      256  /* conditions in it */
#define LIMIT_QUERY_NESTING    8    /* parentheses and NOTs in each other: SQLite parses it */
#define LIMIT_HEALTH_TEXT      512  /* of what stood in the way of an account's polls */

/* Sealed segments */
#define LIMIT_SEALED_FRAME	 (16 * MIB) /* decoded bytes of one of their frames, at most */
#define LIMIT_SEALED_FRAME_LEAST (64 * KIB) /* seal-frame and --frame-size, at least */
#define LIMIT_SEAL_LEVEL	 19	    /* those beyond it zstd calls ultra */
#define LIMIT_CACHED_FRAMES	 3 /* decoded and kept by a reader, each with its decoder's window */
#define LIMIT_SEALED_FRAMES	 1000000    /* in one frame table */
#define LIMIT_SEGMENT_BYTES	 (4 * GIB)  /* of mail, and ingest begins another open segment */
#define LIMIT_SEGMENT_MESSAGES	 250000	    /* likewise: what a seal remembers has a cap */
#define LIMIT_SPLIT_MESSAGE	 (64 * MIB) /* a larger one is not searched for parts */
#define LIMIT_PART_LEAST	 (16 * KIB) /* decoded: smaller ones stay in their message */
#define LIMIT_SEGMENT_SPANS	 300000	    /* places of parts in one segment; beyond, none */
#define LIMIT_RECIPE_PIECES	 1024
#define LIMIT_RECIPE_HEADER	 (256 * KIB)				     /* its text */
#define LIMIT_RECIPE		 (LIMIT_SPLIT_MESSAGE + LIMIT_RECIPE_HEADER) /* the entry's bytes */
#define LIMIT_BOUNDARIES	 32	    /* remembered while a message is split */
#define LIMIT_BOUNDARY		 256	    /* characters of one; RFC 2046 section 5.1.1 says 70 */
#define LIMIT_WORKER_MS		 300000	    /* without a sign of life from popkeep-worker */
#define LIMIT_WORKER_RATE	 (64 * KIB) /* of mail a second: one that is slower is given up */
#define LIMIT_WORKER_TEXT	 512	    /* why it failed */
#define LIMIT_SEALED_EACH	 (4 * KIB)  /* of a sealed file beyond its mail: for each message */
#define LIMIT_SEALED_REST	 (16 * MIB) /* likewise, for all else that is in it */
#define LIMIT_MAINTENANCE_MS	 600000	    /* for one's turn to seal, repack, copy */
#define LIMIT_VERIFY_SEALS	 1000000    /* seal lines that a check remembers */
#define LIMIT_REPACK_SOURCES	 64	    /* segments that become one */

/* popkeep-worker */
#define LIMIT_WORKER_START_MS 10000	  /* until it says that it is there */
#define LIMIT_WORKER_STOP_MS  2000	  /* to end, once its pipes are closed */
#define LIMIT_WORKER_MEMORY   (320 * MIB) /* its heap: 256 MiB, and what lies idle in it */
#define LIMIT_WORKER_SCRATCH  (2 * (LIMIT_SEGMENT_BYTES + LIMIT_MESSAGE)) /* its files */

/* Exports */
#define LIMIT_EXPORT_WHOLE (1 * MIB) /* of a message that is in memory before it is written */
#define LIMIT_EXPORT_FOLDER                                                                        \
	5000 /* files in one: FAT has room for 7281 with names of 96 characters */
#define LIMIT_EXPORT_SUMS   (16 * MIB) /* of SHA256SUMS beside the files of an export */
#define LIMIT_EXPORT_SPLIT  (64 * KIB) /* --split, at least */
#define LIMIT_EXPORT_NAME   4096       /* bytes of a path in one that is checked */
#define LIMIT_EXPORT_DEPTH  8	       /* of its folders */
#define LIMIT_MANIFEST_LINE (1 * MIB)  /* of a manifest.jsonl */

/* Imports */
#define LIMIT_IMPORT_PEEK	   (4 * KIB) /* of a file, to see what it is */
#define LIMIT_IMPORT_WHOLE	   (1 * MIB) /* a file of this size is read whole before it is given on */
#define LIMIT_IMPORT_DEPTH	   64	     /* folders within folders */
#define LIMIT_IMPORT_CHUNK	   16384 /* names of a folder that are sorted and read together */
#define LIMIT_IMPORT_NAME	   (16 * KIB) /* of an archive's entry */
#define LIMIT_IMPORT_ENTRIES	   100000000  /* in one archive */
#define LIMIT_IMPORT_LINKS	   (8 * MIB) /* names of an archive's hard links, and of their targets */
#define LIMIT_IMPORT_KEYWORDS	   (64 * KIB) /* dovecot-keywords */
#define LIMIT_IMPORT_KEYWORD_LISTS 4096	      /* of them in one archive; 1.7 KiB each */
#define LIMIT_IMPORT_KEYWORD_PATHS (1 * MIB)  /* of all Maildirs in an archive that have some */
#define LIMIT_IMPORT_DIRECTORY	   (8 * MIB)  /* of a zip; one with more is read as a stream */
#define LIMIT_IMPORT_BATCH	   4096	      /* messages, of a folder each, in one commit */
#define LIMIT_IMPORT_PLACES	   256	      /* folders in which one message lies */
#define LIMIT_IMPORT_REMEMBERED	   1000000    /* messages, by a dry run */
#define LIMIT_IMPORT_OPEN	   256 /* sources that root opens before it is root no more */

/* What the header reader looks at */
#define LIMIT_HEADER_BYTES (256 * KIB)
#define LIMIT_HEADER_FIELD (16 * KIB)

/* Reading mbox */
#define LIMIT_MBOX_WINDOW (1 * MIB) /* looked at to know what the next byte is */
#define LIMIT_MBOX_FROM	  1024	    /* a longer line is none that separates messages */
#define LIMIT_MBOX_NAME	  128	    /* of a field: by it a header is known */

/* The index of headers: what is taken of a message, in bytes of UTF-8, where nothing else stands */
#define LIMIT_INDEX_RUN		100000	   /* messages for which one worker is started */
#define LIMIT_INDEX_SENDER	(2 * KIB)  /* From */
#define LIMIT_INDEX_LIST	(16 * KIB) /* To, and Cc: a search finds none of those behind it */
#define LIMIT_INDEX_SUBJECT	(4 * KIB)
#define LIMIT_INDEX_ID		(1 * KIB) /* Message-ID; a line of a header has at most 998 */
#define LIMIT_INDEX_NAME	512	  /* of one attachment */
#define LIMIT_INDEX_NAMES	(8 * KIB) /* of all of them */
#define LIMIT_INDEX_PARTS	10000	  /* of one message that are looked at */
#define LIMIT_INDEX_LEVELS	32	  /* of multipart in multipart */
#define LIMIT_INDEX_BATCH	4000	  /* rows of one transaction */
#define LIMIT_INDEX_BATCH_BYTES (4 * MIB) /* likewise: their texts */
#define LIMIT_PARAMETER_PIECES	64	  /* of a name cut to pieces, RFC 2231 section 3 */
