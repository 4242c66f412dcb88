#include "pg/workers.hpp"

#include "pg/clock.hpp"
#include "pg/due.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"

#include <csignal>
#include <cstring>

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
}

namespace bbm::pg {

namespace {

// A scheduler or launcher that ended in an error comes back after this long; at once after a crash of the server.
constexpr int kRestart_s = 1;

bool start_at_commit = false;
bool must_ask_launcher = false; // whether anybody is to be started at all
bool callback_registered = false;
bool connected = false;
bool preloaded = false;

static_assert(sizeof(WorkerOrder) <= BGW_EXTRALEN);

BackgroundWorker describe(const char *type, const char *main_function) {
    BackgroundWorker worker;
    std::memset(&worker, 0, sizeof worker);
    strlcpy(worker.bgw_name, type, BGW_MAXLEN);
    strlcpy(worker.bgw_type, type, BGW_MAXLEN);
    strlcpy(worker.bgw_library_name, "bbm", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, main_function, BGW_MAXLEN);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    return worker;
}

// In a commit nothing may fail any more: a missing slot is a warning here, or a note to the launcher.
void start_now_or_soon() {
    if (!must_ask_launcher && start_scheduler(MyDatabaseId))
        return;
    if (is_preloaded()) {
        set_due(MyDatabaseId, now());
        wake_launcher();
        return;
    }
    if (must_ask_launcher)
        return;
    ereport(
        WARNING,
        (errmsg("could not start a background worker for bbm"),
         errhint("Consider increasing the configuration parameter \"max_worker_processes\", or use CALL bbm.run().")));
}

void at_transaction_end(XactEvent event, void *) {
    if (!start_at_commit)
        return;
    switch (event) {
    case XACT_EVENT_COMMIT:
        start_at_commit = false;
        start_now_or_soon();
        break;
    case XACT_EVENT_ABORT:
        start_at_commit = false;
        break;
    case XACT_EVENT_PRE_PREPARE: // whoever says COMMIT PREPARED could not start anything
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot PREPARE a transaction that has queued or changed a migration")));
        break;
    default:
        break;
    }
}

// Registered before the connection is made. A FATAL on the way in (database dropped, no connections allowed) would
// otherwise have the postmaster start us again every second, for ever.
void leave_for_good_unless_connected(int, Datum) {
    if (!connected)
        proc_exit(0);
}

void install_signal_handlers() {
    pqsignal(SIGTERM, die); // the stock handler of background workers ends the process in the middle of anything
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
}

} // namespace

void register_launcher() {
    preloaded = true;
    BackgroundWorker worker = describe("bbm launcher", "bbm_launcher_main");
    worker.bgw_restart_time = kRestart_s;
    RegisterBackgroundWorker(&worker);
}

bool is_preloaded() { return preloaded; }

bool start_scheduler(std::uint32_t database) {
    BackgroundWorker worker = describe("bbm scheduler", "bbm_scheduler_main");
    worker.bgw_restart_time = kRestart_s;
    worker.bgw_main_arg = ObjectIdGetDatum(database);
    return RegisterDynamicBackgroundWorker(&worker, nullptr);
}

// Off may be what this session has not read yet: the setting was changed a moment ago. The launcher reads for itself,
// and starts nobody while it is off.
void start_scheduler_at_commit() {
    const bool asks_first = !start_at_commit || must_ask_launcher; // unless this transaction wants workers signalled
    signal_workers_at_commit();
    must_ask_launcher = asks_first && !(settings().max_workers > 0 && settings().enabled);
}

void signal_workers_at_commit() {
    must_ask_launcher = false;
    if (!callback_registered) {
        RegisterXactCallback(at_transaction_end, nullptr);
        callback_registered = true;
    }
    start_at_commit = true;
}

WorkerHandle start_worker(const WorkerOrder &order) {
    BackgroundWorker worker = describe("bbm worker", "bbm_worker_main");
    snprintf(worker.bgw_name, BGW_MAXLEN, "bbm worker for migration %lld", static_cast<long long>(order.migration));
    std::memcpy(worker.bgw_extra, &order, sizeof order);
    worker.bgw_notify_pid = MyProcPid;
    BackgroundWorkerHandle *handle = nullptr;
    if (!RegisterDynamicBackgroundWorker(&worker, &handle))
        return {};
    return {handle};
}

bool is_running(WorkerHandle worker) {
    pid_t pid;
    const BgwHandleStatus status = GetBackgroundWorkerPid(static_cast<BackgroundWorkerHandle *>(worker.handle), &pid);
    return status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED;
}

WorkerOrder my_order() {
    WorkerOrder order;
    std::memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof order);
    return order;
}

void enter_launcher() {
    install_signal_handlers();
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0); // no database: shared catalogs only
    show_idle();
}

void enter_scheduler(std::uint32_t database) {
    on_proc_exit(leave_for_good_unless_connected, 0);
    install_signal_handlers();
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    connected = true;
    show_idle();
}

void enter_worker(const WorkerOrder &order) {
    install_signal_handlers();
    BackgroundWorkerInitializeConnectionByOid(order.database, order.role, 0);
    show_idle();
}

void leave() { proc_exit(0); }

void wake(int pid) {
    PGPROC *process = BackendPidGetProc(pid);
    if (process != nullptr)
        SetLatch(&process->procLatch);
}

void cancel_statement(int pid) {
    if (BackendPidGetProc(pid) != nullptr)
        (void)kill(pid, SIGINT);
}

} // namespace bbm::pg
