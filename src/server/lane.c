#include "server/lane.h"

#include "base/clock.h"
#include "server/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double READ_SECONDS = 0.01;
enum { MAX_SCORING = 4 }; // answers that tell of their prompts' tokens at once: each takes memory for the scores

struct lane *lane_new(struct served *served, const struct scheduler_options *o, struct disk *disk) {
    struct lane *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->served = served;
    l->o = o;
    l->model = served_model(served);
    l->cache.most = o->conversations;
    l->disk = disk;
    l->meter = o->meter;
    l->cache.disk = disk;
    l->cache.whole = served_info(served)->keeps_state;
    l->cache.state_bytes = served_info(served)->state_bytes;
    return l;
}

void lane_free(struct lane *l) {
    prefix_free(&l->cache);
    free(l->turns);
    free(l->answers);
    free(l->accounts);
    free(l);
}

static void fail_job(struct job *j, const gyr_error *why) {
    atomic_store(&j->cancelled, true); // its other choices
    job_say(j, &(struct said){
                   .kind = SAID_FAILED, .status = why->status, .text = why->message, .size = strlen(why->message)});
}

void lane_queue(struct lane *l, struct job *j) {
    struct job **at = j->work ? &l->working : &l->waiting;
    while (*at) at = &(*at)->next;
    j->next = NULL;
    *at = j;
    l->n_waiting += !j->work;
}

void lane_work(struct lane *l, struct scheduler_stats *st) {
    struct job *j = l->working;
    gyr_error e = {0};
    if (!j) return;
    l->working = j->next;
    bool cancelled = atomic_load(&j->cancelled);
    meter_settle(l->meter);
    meter_begin(l->meter);
    bool more = !cancelled && j->work(j, &e);
    meter_add(l->meter, &j->share, 1);
    meter_settle(l->meter);
    if (more) { // behind the others
        lane_queue(l, j);
        return;
    }
    if ((e.status == GYR_NO_MEMORY && prefix_drop(&l->cache)) || lane_recovers(l, l->o, &e) || lane_goes_on(l, &e)) {
        lane_queue(l, j);
        return;
    }
    if (e.status)
        fail_job(j, &e);
    else if (!cancelled)
        job_say(j, &(struct said){.kind = SAID_END, .stop = GYR_STOP_END, .energy = share_spent(&j->share)});
    st->failed += e.status != GYR_OK;
    st->cancelled += cancelled;
    job_release(j);
}

static struct job *unqueue(struct lane *l, struct job **at) {
    struct job *j = *at;
    *at = j->next;
    l->n_waiting--;
    return j;
}

// Who comes next: by priority, then who has had least, then who came first. NULL: nobody waits.
static struct job **next_job(struct lane *l) {
    struct job **best = NULL;
    double least = 0;
    for (struct job **at = &l->waiting; *at; at = &(*at)->next) {
        double had = account_of(l, (*at)->owner);
        bool before =
            !best || (*at)->priority < (*best)->priority || ((*at)->priority == (*best)->priority && had < least);
        if (!before) continue;
        best = at;
        least = had;
    }
    return best;
}

// What is there of a prompt's beginning.
struct found {
    gyr_session *session; // to fork; NULL: none
    size_t common;        // tokens to keep of it
    size_t soon;          // tokens that another answer's prompt has in common and is about to compute
};

// The most tokens that a fork can keep: one must be left to compute, unless the scores behind the last are there.
static size_t usable(const struct lane *l, gyr_session *s, size_t common, size_t count) {
    if (common < count) return common;
    if (gyr_session_length(s) == count && gyr_session_logits(s)) return count;
    return l->cache.whole ? 0 : count - 1;
}

static struct found find_beginning(struct lane *l, const struct job *j) {
    struct found f = {0};
    struct prompt p = job_prompt(j, j->begun);
    size_t same;
    if (job_scores(j, j->begun)) return f; // all of it is computed
    struct entry *e = prefix_find(&l->cache, job_sharers(j), p.ids, p.count, now_seconds(), &same);
    if (e) {
        f.common = usable(l, e->session, same, p.count);
        f.session = f.common ? e->session : NULL;
    }
    for (size_t i = 0; i < l->n; i++) {
        const struct turn *t = l->turns[i];
        if (!same_sharers(job_sharers(t->job), job_sharers(j)) || t->aside) continue;
        size_t length = gyr_session_length(t->session);
        size_t is = common_tokens(gyr_session_tokens(t->session), length, p.ids, p.count);
        size_t will = t->begun ? 0 : common_tokens(t->prompt.ids, t->prompt.count, p.ids, p.count);
        if (l->cache.whole && is < length) is = 0;
        is = is ? usable(l, t->session, is, p.count) : 0;
        if (is > f.common) f.session = t->session, f.common = is;
        if (will > f.soon) f.soon = will;
    }
    return f;
}

// A session that begins with what was found. NULL: there is no memory.
static gyr_session *open_session(struct lane *l, const struct scheduler_options *o, const struct job *j,
                                 const struct found *f, gyr_error *e) {
    gyr_session_options how = {.context = 0, .kv_type = o->kv_type, .adapter = job_sharers(j).adapter};
    if (!f->session) return gyr_session_new(l->model, &how, e);
    gyr_session *s = gyr_session_fork(f->session, e);
    if (s) gyr_session_truncate(s, f->common);
    return s;
}

// Whether what is to be computed has room, which forgotten conversations may make.
static bool has_room(struct lane *l, size_t tokens) {
    const gyr_model_info *info = served_info(l->served);
    uint64_t need = (uint64_t)tokens * info->kv_bytes_per_token;
    for (;;) {
        gyr_memory m;
        gyr_model_get_memory(l->model, &m);
        if (m.used + m.promised + need <= m.limit) return true;
        if (!prefix_drop(&l->cache)) return false;
    }
}

static struct shelf shelf_of(const struct lane *l, const struct scheduler_options *o, uint64_t salt) {
    return (struct shelf){
        .model = served_name(l->served), .kv_type = o->kv_type, .salt = salt, .whole = l->cache.whole};
}

// How much of the prompt the disk has, if that is worth more than what memory has.
static size_t look_on_disk(struct lane *l, const struct scheduler_options *o, const struct job *j, struct found *f) {
    struct shelf shelf = shelf_of(l, o, j->salt);
    struct prompt p = job_prompt(j, j->begun);
    bool looks = l->disk && !job_scores(j, j->begun);
    size_t have = looks ? disk_find(l->disk, &shelf, p.ids, p.count - !shelf.whole) : 0;
    if (have < f->common + PART / 2) return 0;
    f->common = shelf.whole ? 0 : f->common / PART * PART;
    if (!f->common) f->session = NULL;
    return have;
}

// What the states may take that are kept: beside the keys and values, whose limit does not count them.
static void bound_states(struct lane *l) {
    gyr_memory m;
    if (!l->cache.whole) return;
    gyr_model_get_memory(l->model, &m);
    l->cache.states_room = m.limit / 4;
}

enum admitted { ADMITTED, LATER, REFUSED };

static enum admitted add_turn(struct lane *l, struct job *j, gyr_session *s, size_t from_disk, gyr_error *e) {
    struct turn *t = turn_new(j, j->begun, s, e);
    if (t && !from_disk && !turn_start(t, e)) {
        t->session = NULL;
        turn_free(t, &l->cache);
        t = NULL;
    }
    if (!t) {
        gyr_session_free(s);
        return REFUSED;
    }
    t->from_disk = from_disk;
    t->order = ++l->admitted;
    l->turns[l->n++] = t;
    j->begun++;
    return ADMITTED;
}

static size_t scoring(const struct lane *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += l->turns[i]->scores && !l->turns[i]->begun;
    return n;
}

static enum admitted begin(struct lane *l, struct job *j, const struct scheduler_options *o, struct scheduler_stats *st,
                           gyr_error *e) {
    struct found f = find_beginning(l, j);
    size_t count = job_prompt(j, j->begun).count;
    if (job_scores(j, j->begun) && scoring(l) >= MAX_SCORING) return LATER;
    if (f.soon > f.common + PREFIX_WORTH) return LATER;
    if (l->n && !has_room(l, count - f.common)) return LATER;
    f = find_beginning(l, j); // what was found may have been what made room
    size_t from_disk = look_on_disk(l, o, j, &f);
    if (!ARRAY_GROW(l->turns, l->n, l->room) || !ARRAY_GROW(l->answers, l->n, l->answers_room))
        return fail_memory(e, "answers"), REFUSED;
    gyr_session *s = open_session(l, o, j, &f, e);
    if (!s) return l->n && e->status == GYR_NO_MEMORY ? LATER : REFUSED;
    enum admitted how = add_turn(l, j, s, from_disk, e);
    bound_states(l);
    if (how == ADMITTED) {
        st->queried_tokens += count;
        st->cached_tokens += from_disk ? from_disk : f.common;
        st->disk_tokens += from_disk ? from_disk - f.common : 0;
    }
    return how;
}

// Whether two jobs are of one owner; where nobody shows a key, a job is its own.
static bool same_owner(const struct job *a, const struct job *b) {
    return a == b || (a->owner && a->owner == b->owner);
}

// Places that are taken; of a job's owner, or of all (NULL).
static size_t places(const struct lane *l, const struct job *j) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += !l->turns[i]->yielded && (!j || same_owner(l->turns[i]->job, j));
    return n;
}

// Who gives its place to a job: of the owner who has most places, and at least two more than the job's, the youngest
// answer. NULL: nobody.
static struct turn *yields_to(const struct lane *l, const struct job *j) {
    size_t least = places(l, j) + 2, most = 0;
    struct turn *best = NULL;
    for (size_t i = 0; i < l->n; i++) {
        struct turn *t = l->turns[i];
        if (!t->answer || t->aside || t->job->priority < j->priority) continue;
        size_t n = places(l, t->job);
        if (n < least || n < most || (n == most && t->order < best->order)) continue;
        best = t;
        most = n;
    }
    return best;
}

// Whether somebody who gave its place away has it back before a job has one.
static bool comes_before(const struct lane *l, const struct job *j) {
    size_t has = places(l, j);
    for (size_t i = 0; i < l->n; i++) {
        const struct turn *t = l->turns[i];
        if (t->yielded && t->job->priority <= j->priority && places(l, t->job) <= has) return true;
    }
    return false;
}

static void set_aside(struct turn *t, struct scheduler_stats *st) {
    gyr_answer_set_aside(t->answer);
    t->aside = true;
    st->set_aside++;
}

// Begins one that waits. False: there is none, or no room for it.
static bool admit_one(struct lane *l, const struct scheduler_options *o, struct scheduler_stats *st) {
    struct job **at = next_job(l), *j = at ? *at : NULL;
    gyr_error e = {0};
    if (!j || l->n >= MAX_TURNS) return false;
    bool full = places(l, NULL) >= o->parallel, cancelled = atomic_load(&j->cancelled);
    struct turn *yields = full ? yields_to(l, j) : NULL;
    if (!cancelled && (full ? !yields : comes_before(l, j))) return false;
    enum admitted how = cancelled ? REFUSED : begin(l, j, o, st, &e);
    if (how == LATER) return false;
    if (how == REFUSED && !cancelled && lane_goes_on(l, &e)) return true; // it still waits
    if (how == ADMITTED && yields) {
        set_aside(yields, st);
        yields->yielded = true;
    }
    if (how == ADMITTED && j->begun < j->n) return true;
    unqueue(l, at);
    if (how == REFUSED && !cancelled) fail_job(j, &e);
    st->cancelled += cancelled;
    st->failed += how == REFUSED && !cancelled;
    job_release(j);
    return true;
}

void lane_admit(struct lane *l, const struct scheduler_options *o, struct scheduler_stats *st) {
    struct job **at = next_job(l);
    for (size_t i = 0; at && i < l->n; i++) { // who was set aside for want of memory comes first
        const struct turn *t = l->turns[i];
        if (t->aside && !t->yielded && t->job->priority <= (*at)->priority) return;
    }
    while (admit_one(l, o, st)) {}
}

// Takes a turn off the list.
static void remove_turn(struct lane *l, size_t i) {
    meter_settle(l->meter); // it may be the last hold of its job
    turn_free(l->turns[i], &l->cache);
    l->turns[i] = l->turns[--l->n];
}

// A job that nobody wants any more. If its client is still there, it was the server that could not go on.
static void drop_job(struct job *j) {
    static const gyr_error why = {GYR_NO_MEMORY, "out of memory for the answer, or its client does not read it"};
    if (!atomic_load(&j->x->gone)) fail_job(j, &why);
}

static void end_turns(struct lane *l, struct scheduler_stats *st) {
    for (size_t i = l->n; i-- > 0;) {
        struct turn *t = l->turns[i];
        bool cancelled = atomic_load(&t->job->cancelled);
        if (t->answer && gyr_answer_done(t->answer)) meter_settle(l->meter);
        if (l->cache.whole && !cancelled) turn_keep_state(t, &l->cache);
        if (cancelled)
            drop_job(t->job);
        else if (!turn_told(t, st))
            continue;
        st->cancelled += cancelled;
        remove_turn(l, i);
    }
}

// In which order prompts are computed: by priority, then who has had least, then the shortest, so that a long one keeps
// nobody waiting, then who came first.
static bool before(const struct lane *l, const struct turn *a, const struct turn *b) {
    if (a->job->priority != b->job->priority) return a->job->priority < b->job->priority;
    double x = account_of(l, a->job->owner), y = account_of(l, b->job->owner);
    if (x != y) return x < y;
    size_t m = turn_left(a), n = turn_left(b);
    return m != n ? m < n : a->order < b->order;
}

static void sort_turns(struct lane *l) {
    for (size_t i = 1; i < l->n; i++)
        for (size_t k = i; k > 0 && before(l, l->turns[k], l->turns[k - 1]); k--) {
            struct turn *t = l->turns[k];
            l->turns[k] = l->turns[k - 1];
            l->turns[k - 1] = t;
        }
}

// Who gives memory back first: of those that have some, the one of the least priority, and of those the youngest. NULL:
// there is none.
static struct turn *youngest(const struct lane *l) {
    struct turn *best = NULL;
    for (size_t i = 0; i < l->n; i++) {
        struct turn *t = l->turns[i];
        if (!t->answer || t->aside) continue;
        int by = best ? t->job->priority - best->job->priority : 1;
        if (by > 0 || (!by && t->order > best->order)) best = t;
    }
    return best;
}

// Who has it back first: the other way round, and those that gave a place away behind those that gave memory.
static struct turn *oldest_aside(const struct lane *l) {
    struct turn *best = NULL;
    for (size_t i = 0; i < l->n; i++) {
        struct turn *t = l->turns[i];
        int by = best ? best->job->priority - t->job->priority : 1;
        if (best && !by) by = best->yielded - t->yielded;
        if (t->aside && (by > 0 || (!by && t->order < best->order))) best = t;
    }
    return best;
}

unsigned lane_aside(const struct lane *l) {
    unsigned n = 0;
    for (size_t i = 0; i < l->n; i++) n += l->turns[i]->aside;
    return n;
}

static size_t active(const struct lane *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += l->turns[i]->answer && !l->turns[i]->aside;
    return n;
}

// Those that were set aside go on when there is memory for all that they had, or nobody else.
static void bring_back(struct lane *l, const struct scheduler_options *o) {
    struct turn *t;
    while ((t = oldest_aside(l))) {
        gyr_generate_stats s;
        gyr_answer_get_stats(t->answer, &s);
        if (t->yielded && places(l, NULL) >= o->parallel) return;
        if (active(l) && !has_room(l, t->prompt.count + s.answer_tokens + PREFIX_WORTH)) return;
        t->aside = t->yielded = false;
    }
}

// Memory is full: somebody gives some back. False: there is nobody but the one who asks.
static bool relieve(struct lane *l, struct scheduler_stats *st) {
    if (prefix_drop(&l->cache) || lane_drop_marks(l)) return true;
    if (active(l) < 2) return false;
    set_aside(youngest(l), st);
    return true;
}

// Tokens of prompts that a step may compute: few where others are being answered and wait for it.
static size_t prompt_share(const struct lane *l, const struct scheduler_options *o) {
    for (size_t i = 0; i < l->n; i++)
        if (!l->turns[i]->aside && l->turns[i]->begun) return pace_share(&l->pace, o->prefill);
    return 0;
}

// The bytes that a step had to read for a turn: of the weights, which all rows have in common, its rows' part, and its
// own keys and values.
static void charge_energy(struct lane *l, const size_t *left) {
    const gyr_model_info *info = served_info(l->served);
    double rows = 0;
    for (size_t i = 0; i < l->n; i++)
        if (l->turns[i]->answer && !l->turns[i]->aside) rows += (double)(left[i] - turn_left(l->turns[i])) + !left[i];
    for (size_t i = 0; i < l->n && rows > 0; i++) {
        struct turn *t = l->turns[i];
        if (!t->answer || t->aside) continue;
        double mine = (double)(left[i] - turn_left(t)) + !left[i];
        double cache = mine > 0 ? (double)gyr_session_length(t->session) * (double)info->kv_bytes_per_token : 0;
        meter_add(l->meter, &t->job->share, (double)info->weight_bytes * mine / rows + cache);
    }
    meter_tick(l->meter);
}

static void charge(struct lane *l, const size_t *left, struct scheduler_stats *st) {
    for (size_t i = 0; i < l->n; i++) {
        struct turn *t = l->turns[i];
        size_t done = left[i] - turn_left(t);
        if (t->aside) continue;
        account_add(l, t->job->owner, done ? (double)done : 1);
        st->prompt_tokens += done;
    }
}

static bool step(struct lane *l, const struct scheduler_options *o, struct scheduler_stats *st, gyr_error *e) {
    size_t left[MAX_TURNS], share, before = st->prompt_tokens;
    double began;
    for (;;) {
        size_t n = 0;
        for (size_t i = 0; i < l->n; i++) {
            left[i] = turn_left(l->turns[i]);
            if (l->turns[i]->answer && !l->turns[i]->aside) l->answers[n++] = l->turns[i]->answer;
        }
        meter_begin(l->meter);
        share = prompt_share(l, o), began = now_seconds();
        if (!n || !gyr_answers_step(l->answers, n, share, e)) break;
        if (lane_recovers(l, o, e) || lane_goes_on(l, e)) continue;
        if (e->status != GYR_NO_MEMORY || !relieve(l, st)) return false;
    }
    charge(l, left, st);
    if (share) pace_note(&l->pace, st->prompt_tokens - before, o->prefill, now_seconds() - began);
    charge_energy(l, left);
    return true;
}

// Reads the next part of what the disk has of a turn's prompt, making room for it. False: there is no more.
static bool read_part(struct lane *l, const struct shelf *shelf, struct turn *t) {
    for (;;) {
        gyr_error e = {0};
        if (disk_load(l->disk, shelf, t->session, t->prompt.ids, t->from_disk, &e))
            return gyr_session_length(t->session) < t->from_disk;
        if (e.status != GYR_NO_MEMORY || !prefix_drop(&l->cache)) return false;
    }
}

// Reads on for those that begin on the disk: a little in each step, so that the others' answers go on.
static void read_on(struct lane *l, const struct scheduler_options *o, struct scheduler_stats *st) {
    double end = now_seconds() + READ_SECONDS;
    for (size_t i = l->n; i-- > 0;) {
        struct turn *t = l->turns[i];
        struct shelf shelf = shelf_of(l, o, t->job->salt);
        gyr_error e = {0};
        bool more = !t->answer;
        while (more && now_seconds() < end) more = read_part(l, &shelf, t);
        if (t->answer || more || turn_start(t, &e)) continue;
        fail_job(t->job, &e);
        st->failed++;
        remove_turn(l, i);
    }
}

bool lane_save(struct lane *l, const struct scheduler_options *o) {
    for (size_t i = 0; l->disk && i < l->cache.n; i++) {
        struct entry *e = &l->cache.list[i];
        struct shelf shelf = shelf_of(l, o, e->whose.salt);
        if (e->kept) continue;
        enum disk_saved how = disk_save(l->disk, &shelf, e->session);
        if (how != DISK_DONE) return how == DISK_WROTE;
        e->kept = true;
    }
    return false;
}

bool lane_step(struct lane *l, const struct scheduler_options *o, struct scheduler_stats *st) {
    gyr_error e = {0};
    if (!l->n) return false;
    end_turns(l, st); // those that were cancelled
    read_on(l, o, st);
    bring_back(l, o);
    sort_turns(l);
    if (l->n && !step(l, o, st, &e)) {
        for (size_t i = l->n; i-- > 0;) {
            if (l->turns[i]->aside || !l->turns[i]->answer) continue; // it has not failed, and goes on
            fail_job(l->turns[i]->job, &e);
            st->failed++;
            remove_turn(l, i);
        }
    }
    end_turns(l, st);
    return true;
}

void lane_fail(struct lane *l, const gyr_error *why) {
    while (l->n) {
        fail_job(l->turns[l->n - 1]->job, why);
        remove_turn(l, l->n - 1);
    }
    while (l->working) {
        struct job *j = l->working;
        l->working = j->next;
        fail_job(j, why);
        job_release(j);
    }
    while (l->waiting) {
        struct job *j = unqueue(l, &l->waiting);
        fail_job(j, why);
        job_release(j);
    }
}
