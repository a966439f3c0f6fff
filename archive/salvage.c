/* Salvage: a damaged segment is replaced by a sealed one that holds what is whole of it. Under
 * TURN_MAINTENANCE:
 *
 *   1. every message is read; what is damaged is looked for in    salvage_look.c
 *      the other segments
 *   2. in a turn: those that lie elsewhere too lie there now      (catalog alone)
 *   3. the file gets a second name, N.damaged, which nobody
 *      reads and nobody removes
 *   4. what is whole goes into a new segment as in any seal       seal.c, 2 to 7
 *      with a `lost` line for each other message in the group
 *      of the `seal` line; the old name is removed
 *
 * Until the group of 4 is durable nothing has happened. Where nothing was whole the new segment
 * holds no message: what is said of the old one is that it is replaced. */
#include "archive/file.h"
#include "archive/salvage_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/* More would not fit into one group with the seal's line; they are lost before it. */
enum { LOST_A_GROUP = 50000, WHY_MAX = 256 };

int store_next_segment(struct store *s, uint64_t after, uint64_t *ret, struct fault *f)
{
	struct segment_row row = {.number = after};
	int r;

	if (store_open_catalog(s, f) < 0)
		return -1;
	do {
		r = catalog_next_segment(s->catalog, row.number, &row, f);
	} while (r == 0 && row.state == SEGMENT_REPLACED);
	if (r == 0)
		*ret = row.number;
	return r < 0 ? -1 : r == 0 ? 0 : SEAL_NOTHING;
}

/* ---- What is lost ---------------------------------------------------------------------------- */

struct losses {
	struct event *one;
	size_t n;
};

static void losses_deinit(struct losses *l)
{
	free(l->one);
}

static int list_losses(struct salvage *x, struct losses *ret, struct fault *f)
{
	ret->one = calloc(x->bad + 1, sizeof *ret->one);
	if (!ret->one)
		return fault_memory(f);
	for (size_t i = 0; i < x->mails; i++) {
		const struct salvage_mail *m = &x->mail[i];
		size_t len = m->why ? strnlen(m->why, WHY_MAX) : 0;

		if (m->state == SALVAGE_BAD)
			ret->one[ret->n++] = (struct event){.kind = EVENT_LOST,
				.digest = m->digest,
				.text = slice_of(m->why, len)};
	}
	return 0;
}

static int enter_losses(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	struct ledger_group g CLEANUP(ledger_group_deinit) = {0};
	const struct losses *l = context;
	moment_ms now = moment_now();

	if (seal_group_begin(s, turn, &g, now, f) < 0)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		l->one[i].t = now;
		if (seal_group_add(s, &g, &l->one[i], NULL, f) < 0)
			return -1;
	}
	return seal_group_write(s, turn, &g, now, f);
}

/* All but the last `rest` of them, in groups of their own. */
static int enter_most(struct store *s, struct losses *l, size_t rest, struct fault *f)
{
	while (l->n > rest) {
		size_t n = l->n - rest < LOST_A_GROUP ? l->n - rest : LOST_A_GROUP;
		struct losses some = {l->one, n};

		if (seal_in_turn(s, enter_losses, &some, f) < 0)
			return -1;
		memmove(l->one, l->one + n, (l->n - n) * sizeof *l->one);
		l->n -= n;
	}
	return 0;
}

static void tell(struct salvage *x, salvage_lost *lost, void *context, struct salvage_sums *sums)
{
	for (size_t i = 0; i < x->mails; i++) {
		const struct salvage_mail *mail = &x->mail[i];
		const struct message m = {.id = mail->id,
			.digest = mail->digest,
			.size_bytes = mail->size_bytes,
			.archived = mail->archived,
			.maildrop = mail->maildrop,
			.at = mail->at,
			.located = x->number > 0};

		sums->moved += mail->state == SALVAGE_ELSEWHERE;
		if (mail->state != SALVAGE_BAD)
			continue;
		sums->lost++;
		sums->lost_bytes += mail->size_bytes;
		if (lost)
			lost(context, &m, mail->why);
	}
}

/* ---- What lies elsewhere --------------------------------------------------------------------- */

static int move_all(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	struct salvage *x = context;

	(void)turn;
	for (size_t i = 0; i < x->mails; i++) {
		const struct salvage_mail *m = &x->mail[i];

		if (m->state == SALVAGE_ELSEWHERE &&
			catalog_move_message(s->catalog, m->id, x->number, &m->elsewhere, f) < 0)
			return -1;
	}
	return x->number ? catalog_get_segment(s->catalog, x->number, &x->row, f) : 0;
}

/* ---- What is whole --------------------------------------------------------------------------- */

/* Work of a turn. The source is given as it is: only what was read whole is asked for. */
static int plan(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	struct salvage *x = ((void **)context)[0];
	struct seal_plan *p = ((void **)context)[1];
	int fd = x->fd >= 0 ? fcntl(x->fd, F_DUPFD_CLOEXEC, 0) : file_open_unlinked(s->folder_fd);

	if (fd < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "segment %06" PRIu64, x->number);
	p->known = turn->at;
	(void)snprintf(p->class_, sizeof p->class_, "%s", x->row.class_);
	p->source[p->sources++] = (struct seal_source){.row = x->row, .fd = fd};
	for (size_t i = 0; i < x->mails; i++) {
		const struct salvage_mail *mail = &x->mail[i];
		const struct message m = {.digest = mail->digest,
			.size_bytes = mail->size_bytes,
			.archived = mail->archived,
			.maildrop = mail->maildrop,
			.at = mail->at};

		if (mail->state == SALVAGE_WHOLE && seal_plan_add_mail(p, &m, f) < 0)
			return -1;
	}
	return 0;
}

static int keep_damaged(struct salvage *x, struct fault *f)
{
	char name[SEGMENT_NAME], aside[SEGMENT_NAME];
	struct stat st, there;

	if (x->fd < 0)
		return 0;
	segment_name(
		x->number, x->row.state == SEGMENT_SEALED ? SEGMENT_SEALED : SEGMENT_OPEN, name);
	segment_damaged_name(x->number, aside);
	if (linkat(x->s->segments_fd, name, x->s->segments_fd, aside, 0) == 0)
		return fsync(x->s->segments_fd) == 0 ? 0
						     : fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE,
							       errno, "cannot sync segments/");
	if (errno != EEXIST)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
			"cannot give segments/%s the name %s too", name, aside);
	/* Of a run that died. */
	if (fstat(x->fd, &st) == 0 && fstatat(x->s->segments_fd, aside, &there, 0) == 0 &&
		st.st_ino == there.st_ino)
		return 0;
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"segments/%s is there already, and is another file; move it away", aside);
}

static int replace(struct salvage *x, struct losses *l, struct seal_result *ret, struct fault *f)
{
	struct seal_plan *p CLEANUP(freep) = malloc(sizeof *p);

	if (!p)
		return fault_memory(f);
	if (keep_damaged(x, f) < 0 ||
		enter_most(x->s, l, l->n ? (l->n - 1) % LOST_A_GROUP + 1 : 0, f) < 0)
		return -1;
	seal_plan_init(p);
	p->lost = l->one;
	p->losts = l->n;
	int r = seal_in_turn(x->s, plan, (void *[]){x, p}, f);
	if (r == 0)
		r = seal_make(x->s, p, x->job, ret, f);
	/* Where it failed the other name stays: the `seal` line may be there, and then it is the
	 * only one. The next salvage takes it for its own. */
	seal_plan_deinit(p);
	return r;
}

/* ---- All of it ------------------------------------------------------------------------------- */

/* What comes to it meanwhile would be missed: an open segment that is damaged is closed, and looked
 * at once more. SEAL_NOTHING, SALVAGE_ABSENT. */
static int close_it(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	struct salvage *x = context;

	if (salvage_load(s, turn, x, f) < 0)
		return -1;
	if (x->number == 0 || x->row.state != SEGMENT_OPEN)
		return 0;
	x->row.state = SEGMENT_CLOSED;
	return catalog_put_segment(s->catalog, &x->row, f);
}

static int look(struct salvage *x, seal_turn_work *load, struct fault *f)
{
	bool damaged;

	salvage_forget(x);
	if (seal_in_turn(x->s, load, x, f) < 0 || salvage_look(x, &damaged, f) < 0)
		return -1;
	return damaged ? 0 : SEAL_NOTHING;
}

static int salvage(struct salvage *x, salvage_lost *lost, void *context, struct salvage_sums *ret,
	struct fault *f)
{
	struct losses losses CLEANUP(losses_deinit) = {0};
	struct salvage_sums sums = {0};
	bool dry = x->how & SALVAGE_LOOK;
	int r = look(x, salvage_load, f);

	if (r == 0 && !dry && x->number > 0 && x->row.state == SEGMENT_OPEN)
		r = look(x, close_it, f);
	if (r != 0)
		return r;
	if (x->fd < 0 && !(x->how & SALVAGE_GIVE_UP)) {
		sums.lost = x->bad;
		*ret = sums;
		return SALVAGE_ABSENT;
	}
	if (salvage_search(x, f) < 0)
		return -1;
	tell(x, lost, context, &sums);
	if (!dry && (list_losses(x, &losses, f) < 0 ||
			    (sums.moved > 0 && seal_in_turn(x->s, move_all, x, f) < 0) ||
			    (x->number > 0 ? replace(x, &losses, &sums.sealed, f)
					   : enter_most(x->s, &losses, 0, f)) < 0))
		return -1;
	*ret = sums;
	return 0;
}

int store_salvage(struct store *s, uint64_t segment, unsigned how, const struct seal_job *job,
	salvage_lost *lost, void *context, struct salvage_sums *ret, struct fault *f)
{
	struct salvage x = {.s = s, .number = segment, .how = how, .job = job, .fd = -1};

	if (turn_wait(s->lock_fd, TURN_MAINTENANCE, LIMIT_MAINTENANCE_MS, f) < 0)
		return -1;
	int r = how & SALVAGE_LOOK ? 0 : seal_tidy(s, f);
	if (r == 0)
		r = salvage(&x, lost, context, ret, f);
	turn_release(s->lock_fd, TURN_MAINTENANCE);
	salvage_forget(&x);
	return r;
}
