/*
 * The wake gate: producers stay silent where no worker sleeps, and yet no wake-up is lost.
 *
 * NOTIFY takes a lock of the whole cluster at commit, so producers leave it out where nobody has to be woken. What they
 * decide by may be old by the time they commit; the advisory key G closes that gap:
 * - a silent producer holds G (shared) from before its look at the sleepers until its commit is visible;
 * - a worker's sign that it sleeps is committed before it takes G alone, and only then does it look for jobs for the last
 *   time. So either the producer saw the sign, or the worker waited for the producer and sees the job.
 *
 * Checked: when nothing can move any more (no notification or timer is pending, all transactions have ended), no job is
 * due, committed and free while a worker that lives sleeps. Transactions take as long as they like and commit, roll
 * back, or roll back to a savepoint; others lock jobs and let go of them; workers die holding a job or asleep, or
 * are busy for ever; a job may be due later, and that time comes at any moment.
 *
 * model/run.sh shows that this holds, and that it breaks without each of the parts:
 *   NAIVE           a look before the commit, and no key
 *   NO_BARRIER      the worker does not wait for silent producers
 *   EARLY_LOOK      the producer looks before it holds the key, and not again
 *   NO_LOCKED_LOOK  the worker does not look for due jobs that others hold locked
 *   KEEP_MEMORY     a savepoint's rollback undoes notification and key, but not the memory that they were seen to
 *   OLD_LOOK        a worker goes to sleep on a look that began before it came to the barrier
 *   STALE_TIMER     a worker whose timer went off sets a later one without coming to the barrier again
 */

#define JOBS 3
#define LATER 1
#define NEVER 2 /* later than all due times */
#define UNSETTLED 3 /* never, and the sign's owner has not been at the barrier since (in SQL: null) */

mtype = { absent, open, live, claimed };

mtype job[JOBS] = absent; /* open: added, not committed; live: committed, to be claimed once it is due */
byte due[JOBS];           /* 0 at once, LATER when time has come there */
bool locked[JOBS];
byte now = 0;

bool asleep[2];           /* the sleepers' signs, as they are committed, */
byte next_wake[2];        /* and when their timers go off */
bool notified[2];         /* latched: a notification that the worker has not looked at */
byte holders = 0;         /* silent producers that hold G */
bool taken = false;       /* a worker holds it alone */

bool idle[2];             /* for the check: lives, and waits for a notification or its timer */

#define IS_DUE(j) (job[j] == live && due[j] <= now)
#define IS_READY(j) (job[j] == live && due[j] == 0)
/* Whether somebody has to be told of a job that is due at d: other timers go off early enough. */
#define SOMEBODY_SLEEPS(d) ((asleep[0] && next_wake[0] > d) || (asleep[1] && next_wake[1] > d))

/* ---------------------------------------------------------------- producers */

/* An insert and its trigger. What was seen to for one job holds for all that are due no earlier. */
inline add(j) {
  atomic {
    if
    :: due[j] = 0
    :: due[j] = LATER
    fi;
    job[j] = open;
    if
    :: seen_to <= due[j] -> quiet = false
    :: else ->
      seen_to = due[j];
      quiet = true
    fi
  };
#ifdef EARLY_LOOK
  d_step { notify = notify || (quiet && SOMEBODY_SLEEPS(due[j])) };
#endif
#ifndef NAIVE
  if
  :: quiet && !holds ->
    atomic {
      if
      :: !taken -> holds = true; holders++
      :: notify = true; quiet = false /* refused: a worker holds it, or waits for it */
      fi
    }
  :: else
  fi;
#endif
#ifndef EARLY_LOOK
  d_step { notify = notify || (quiet && SOMEBODY_SLEEPS(due[j])); quiet = false }
#endif
}

inline let_go() {
  if
  :: holds -> holds = false; holders--
  :: else
  fi
}

/* The trigger's state, in the session. */
#define FORGET seen_to = NEVER; notify = false; quiet = false

/* One transaction, of a single job, or of two with a savepoint. */
proctype producer(byte first; bool two) {
  byte seen_to = NEVER; /* the earliest due time that was seen to */
  bool quiet = false;
  bool notify = false;
  bool holds = false;

  add(first);
  if
  :: two ->
    /* The first was in a savepoint that is rolled back: job, notification, key and memory go. */
    d_step {
      job[first] = absent;
      due[first] = 0;
      notify = false;
      let_go();
#ifndef KEEP_MEMORY
      seen_to = NEVER
#endif
    };
    add(first + 1)
  :: two -> add(first + 1)
  :: true
  fi;

  if
  :: /* A commit is visible first, then its locks go, then listeners hear of it. */
    d_step {
      if
      :: job[first] == open -> job[first] = live
      :: else
      fi;
      if
      :: two && job[first + 1] == open -> job[first + 1] = live
      :: else
      fi
    };
    d_step { let_go() };
    d_step { notified[0] = notified[0] || notify; notified[1] = notified[1] || notify; FORGET }
  :: /* Rolled back, or the session has died. */
    d_step {
      job[first] = absent;
      due[first] = 0;
      if
      :: two -> job[first + 1] = absent; due[first + 1] = 0
      :: else
      fi;
      let_go();
      FORGET
    }
  fi
}

/* Locks a due job, as a cancel does, and rolls back. */
proctype locker() {
  byte j = 0;
  do
  :: atomic { IS_DUE(j) && !locked[j] -> locked[j] = true }; break
  :: j < JOBS - 1 -> j++
  :: goto done
  od;
  locked[j] = false;
done:
  skip
}

proctype clock() {
  if
  :: now = LATER
  :: true
  fi
}

/* ------------------------------------------------------------------ workers */

/* A call that goes on at a bookmark sees some of the due jobs only; it settles nothing and leads to another call soon, whatever
 * it found. So it is no step of its own here: the looks below are whole ones, and sleep comes only after these. Either they
 * claim what they find (exchange_v1), or they leave it to the next call (look_v1). */

/* The end of a look that began at the barrier. */
inline drop_key() {
  if
  :: alone -> alone = false; taken = false
  :: else
  fi
}

proctype worker(byte w) {
  byte j = 0;
  bool alone = false; /* holds G */

awake:
  if
  :: goto claim
  :: true
  fi;
  /* Only looks. What it sees may be held by somebody. */
  atomic {
    notified[w] = false;
    if
    :: IS_DUE(0) || IS_DUE(1) || IS_DUE(2) -> drop_key(); goto awake
    :: else
    fi
  };
  goto nothing;

claim:
  /* Claims a due job that nobody holds; others skip it from here on. What is notified from here on is news. */
  atomic {
    notified[w] = false;
    do
    :: j < JOBS && !(IS_DUE(j) && !locked[j]) -> j++
    :: else -> break
    od;
    if
    :: j < JOBS -> locked[j] = true
    :: else -> j = 0; goto nothing
    fi
  };
  atomic {
    locked[j] = false;
    if
    :: job[j] = claimed; due[j] = 0; j = 0; drop_key()
    :: j = 0; drop_key(); goto end_gone /* died before it committed */
    fi
  };
  /* Its only slot is taken now. The sign comes down when that has lasted a while. */
  if
  :: asleep[w] = false
  :: true
  fi;
  if
  :: goto awake
  :: goto end_gone /* busy for ever, or dead */
  fi;

nothing:
  /* A sign that is settled, with a timer still ahead, was seen by all producers since; otherwise it is made so. */
  if
  :: alone
  :: !alone && asleep[w] && next_wake[w] != UNSETTLED && next_wake[w] > now
#ifdef STALE_TIMER
  :: !alone && asleep[w] && next_wake[w] <= now -> next_wake[w] = NEVER
#endif
  :: !alone && !asleep[w] -> d_step { asleep[w] = true; next_wake[w] = UNSETTLED }; goto awake
#ifdef STALE_TIMER
  :: !alone && asleep[w] && next_wake[w] == UNSETTLED ->
#else
  :: !alone && asleep[w] && (next_wake[w] == UNSETTLED || next_wake[w] <= now) ->
#endif
#if defined(NAIVE) || defined(NO_BARRIER)
    alone = true; /* in name only */
#elif defined(OLD_LOOK)
    atomic { holders == 0 && !taken -> taken = true; alone = true };
    goto settled;
#else
    if
    :: atomic { holders == 0 && !taken -> taken = true; alone = true }
    :: atomic { holders > 0 || taken -> next_wake[w] = UNSETTLED } /* not to be had for now: polls */
    fi;
#endif
    goto awake
  fi;

settled:
  /* Up to now producers would have told of any job; from here on only of those due before the timer. */
  d_step {
    if
    :: alone -> next_wake[w] = NEVER
    :: else
    fi;
    do
    :: j < JOBS ->
      if
      :: job[j] == live && due[j] == LATER && next_wake[w] > LATER -> next_wake[w] = LATER
      :: else
      fi;
      j++
    :: else -> break
    od;
    j = 0
  };
#if !defined(NO_LOCKED_LOOK) && !defined(OLD_LOOK)
  if
  :: IS_READY(0) || IS_READY(1) || IS_READY(2) -> drop_key(); goto awake /* polls, until whoever holds it is done */
  :: else
  fi;
#endif
  drop_key();
  if
  :: idle[w] = true
  :: goto end_gone /* dies in its sleep */
  fi;
end_asleep:
  d_step { notified[w] || next_wake[w] <= now -> idle[w] = false };
  goto awake;

end_gone: /* Its sign stays up, which costs producers a notification and nobody a job. */
  false
}

/* -------------------------------------------------------------------- check */

/* timeout: nothing else can move. */
proctype check() {
  byte j = 0;
end_watching:
  timeout;
  do
  :: j < JOBS -> assert(!(IS_DUE(j) && (idle[0] || idle[1]))); j++
  :: else -> break
  od
}

init {
  atomic {
    /* Everything at once would be 40 million states more, and no other kind of meeting. */
    if
    :: run producer(0, true); run locker()
    :: run producer(0, false); run producer(2, false)
    fi;
    run clock();
    run worker(0);
    run worker(1);
    run check()
  }
}
