/* A stand-in for libnvidia-ml.so.1, for tests on machines without an NVIDIA card.
 *
 * The cards are what the file named by FAKE_NVML_STATE says at the moment of each question, one "KEY NUMBER" a line:
 * "cards 2", "init 18" (the code that nvmlInit answers), and for each card "0.used 1073741824", "0.lost 1", "0.mig 2"
 * (slices), "0.reasons 4", "0.pid 77", "0.pidmem 1024", "0.pid2 78", "0.pidmem2 2048"; what is not there has a default.
 * Built with -DOLD=1 it lacks what drivers of 2020 lacked, with -DOLD=2 also every way to list processes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef OLD
#define OLD 0
#endif

typedef unsigned int u32;
typedef unsigned long long u64;
enum { OK = 0, UNINITIALIZED = 1, BAD_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15 };
enum { CARDS = 16, SLICES = 8 };

struct card { int number; int slice; }; /* slice is -1 for the whole card */
struct memory { u64 total, free, used; };
struct memory2 { u32 version; u64 total, reserved, free, used; };
struct rates { u32 gpu, memory; };
struct process { u32 pid; u64 memory; u32 gpu_instance, compute_instance; };
struct pci { char legacy[16]; u32 domain, bus, device, id, subsystem; char place[32]; };

static struct card whole[CARDS];
static int open_count;

static u64 state(const char *key, u64 otherwise) {
    const char *path = getenv("FAKE_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char name[64];
    u64 number, found = otherwise;
    while (file && fscanf(file, "%63s %llu", name, &number) == 2)
        if (!strcmp(name, key)) found = number;
    if (file) fclose(file);
    return found;
}

static u64 of(const struct card *card, const char *what, u64 otherwise) {
    char key[64];
    snprintf(key, sizeof key, "%d.%s", card->number, what);
    return state(key, otherwise);
}

static int alive(const struct card *card) {
    if (!open_count) return UNINITIALIZED;
    if ((u64)card->number >= state("cards", 2) || of(card, "lost", 0)) return LOST;
    return OK;
}

#define ASK(card) do { int code_ = alive(card); if (code_) return code_; } while (0)
#define REFUSED_IN_MIG(card) do { if ((card)->slice >= 0 || of(card, "mig", 0)) return NOT_SUPPORTED; } while (0)

int nvmlInitWithFlags(u32 flags) {
    int code = (int)state("init", OK);
    (void)flags;
    if (code == OK) open_count++;
    return code;
}
int nvmlShutdown(void) {
    if (!open_count) return UNINITIALIZED;
    open_count--;
    return OK;
}
const char *nvmlErrorString(int code) { return code == LOST ? "GPU is lost" : "an error of the fake"; }
int nvmlSystemGetDriverVersion(char *text, u32 size) { snprintf(text, size, "580.95.05"); return OK; }
int nvmlDeviceGetCount_v2(u32 *count) {
    if (!open_count) return UNINITIALIZED;
    *count = (u32)state("cards", 2);
    return OK;
}
int nvmlDeviceGetHandleByIndex_v2(u32 index, struct card **card) {
    if (!open_count) return UNINITIALIZED;
    if (index >= CARDS || index >= state("cards", 2)) return BAD_ARGUMENT;
    whole[index].number = (int)index;
    whole[index].slice = -1;
    *card = &whole[index];
    return alive(*card);
}
int nvmlDeviceGetName(struct card *card, char *text, u32 size) {
    ASK(card);
    snprintf(text, size, card->slice < 0 ? "NVIDIA H200" : "NVIDIA H200 MIG 1g.18gb");
    return OK;
}
int nvmlDeviceGetUUID(struct card *card, char *text, u32 size) {
    ASK(card);
    if (card->slice < 0) snprintf(text, size, "GPU-0000-%d", card->number);
    else snprintf(text, size, "MIG-0000-%d-%d", card->number, card->slice);
    return OK;
}
int nvmlDeviceGetPciInfo_v3(struct card *card, struct pci *pci) {
    ASK(card);
    memset(pci, 0, sizeof *pci);
    snprintf(pci->place, sizeof pci->place, "00000000:%02X:00.0", 0x18 + card->number);
    return OK;
}

static u64 total_of(const struct card *card) { return card->slice < 0 ? 140ULL << 30 : 18ULL << 30; }
static u64 used_of(const struct card *card) {
    u64 used = of(card, "used", 2ULL << 30);
    u64 slices = of(card, "mig", 0);
    return card->slice < 0 ? used : slices ? used / slices : 0;
}
/* The first version counts what the driver reserves as used, the second one does not. */
int nvmlDeviceGetMemoryInfo(struct card *card, struct memory *memory) {
    ASK(card);
    memory->total = total_of(card);
    memory->used = used_of(card) + (512ULL << 20);
    memory->free = memory->total - memory->used;
    return OK;
}
int nvmlDeviceGetUtilizationRates(struct card *card, struct rates *rates) {
    ASK(card);
    REFUSED_IN_MIG(card);
    rates->gpu = (u32)of(card, "util", 87);
    rates->memory = 41;
    return OK;
}
int nvmlDeviceGetPowerUsage(struct card *card, u32 *milliwatts) {
    ASK(card);
    REFUSED_IN_MIG(card);
    *milliwatts = (u32)of(card, "milliwatts", 412345);
    return OK;
}
int nvmlDeviceGetTemperature(struct card *card, int sensor, u32 *degrees) {
    ASK(card);
    (void)sensor;
    *degrees = (u32)of(card, "degrees", 61);
    return OK;
}
int nvmlDeviceGetTemperatureThreshold(struct card *card, int kind, u32 *degrees) {
    ASK(card);
    (void)kind;
    *degrees = 92;
    return OK;
}
int nvmlDeviceGetClockInfo(struct card *card, int kind, u32 *mhz) {
    ASK(card);
    *mhz = kind == 2 ? 3201 : (u32)of(card, "mhz", 1980);
    return OK;
}
int nvmlDeviceGetMaxClockInfo(struct card *card, int kind, u32 *mhz) {
    ASK(card);
    *mhz = kind == 2 ? 3201 : 1980;
    return OK;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(struct card *card, u64 *bits) {
    ASK(card);
    *bits = of(card, "reasons", 0);
    return OK;
}

#if OLD < 2
static int processes(struct card *card, u32 *count, struct process *list) {
    u64 pids[2], memory[2];
    u32 found = 0, index;
    ASK(card);
    if ((pids[found] = of(card, "pid", 0))) memory[found++] = of(card, "pidmem", ~0ULL);
    if ((pids[found] = of(card, "pid2", 0))) memory[found++] = of(card, "pidmem2", ~0ULL);
    if (*count < found) {
        *count = found;
        return TOO_SMALL;
    }
    for (index = 0; index < found; index++)
        list[index] = (struct process){(u32)pids[index], memory[index], ~0U, ~0U};
    *count = found;
    return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v2(struct card *card, u32 *count, struct process *list) {
    return processes(card, count, list);
}
#endif

#if OLD == 0
static struct card parts[CARDS][SLICES];

int nvmlDeviceGetComputeRunningProcesses_v3(struct card *card, u32 *count, struct process *list) {
    return processes(card, count, list);
}
int nvmlDeviceGetMemoryInfo_v2(struct card *card, struct memory2 *memory) {
    ASK(card);
    memory->total = total_of(card);
    memory->reserved = 512ULL << 20;
    memory->used = used_of(card);
    memory->free = memory->total - memory->used - memory->reserved;
    return OK;
}
int nvmlDeviceGetEnforcedPowerLimit(struct card *card, u32 *milliwatts) {
    ASK(card);
    REFUSED_IN_MIG(card);
    *milliwatts = 700000;
    return OK;
}
int nvmlDeviceGetCurrentClocksEventReasons(struct card *card, u64 *bits) {
    ASK(card);
    *bits = of(card, "reasons", 0);
    return OK;
}
int nvmlDeviceGetTotalEccErrors(struct card *card, int kind, int counter, u64 *errors) {
    ASK(card);
    (void)counter;
    *errors = of(card, kind ? "uncorrected" : "corrected", 0);
    return OK;
}
int nvmlDeviceGetMigMode(struct card *card, u32 *now, u32 *pending) {
    ASK(card);
    *now = *pending = of(card, "mig", 0) > 0;
    return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(struct card *card, u32 *count) {
    ASK(card);
    *count = SLICES - 1;
    return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(struct card *card, u32 index, struct card **slice) {
    ASK(card);
    if (index >= SLICES || index >= of(card, "mig", 0)) return NOT_FOUND;
    parts[card->number][index] = (struct card){card->number, (int)index};
    *slice = &parts[card->number][index];
    return OK;
}
#endif
