/* An accelerator that runs a network's last step, a RESHAPE, by copying: as little as shows that it is asked.
   Compiled by test_accelerators.py with MODE: 0 works, 1 cannot be created, 2 refuses the model, 3 gives other
   bytes, 4 fails from its sixth run on, 5 kills the process. Only the beginnings of TFLite's structs are
   declared; what lies behind them is not touched. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int size, data[1]; } Ints;
typedef struct { int type; char *data; Ints *dims; float scale; int zero, allocation; size_t bytes; } Tensor;
typedef struct { Ints *inputs, *outputs; } Node;
typedef struct Context Context;
typedef struct {
  void *init, *free, *prepare;
  int (*invoke)(Context *, Node *);
  void *rest[32]; /* more than any version has, all zero */
} Registration;
struct Context {
  size_t count;
  int (*plan)(Context *, Ints **);
  char *tensors; /* of sizeof TfLiteTensor each, which we need not know: see GetTensor */
  void *impl, *resize, *report, *add, *node;
  int (*replace)(Context *, Registration, const Ints *, void *);
};
typedef struct { void *data; int (*prepare)(Context *, void *); void *hooks[3]; long flags; void *builder; } Delegate;

#define TENSOR_BYTES 112 /* sizeof TfLiteTensor on 64 bit; the test proves it by the right bytes */

static int runs;

static Tensor *at(Context *context, int index) { return (Tensor *)(context->tensors + (size_t)index * TENSOR_BYTES); }

static int invoke(Context *context, Node *node) {
  Tensor *to = at(context, node->outputs->data[0]), *from = at(context, node->inputs->data[0]);
  if (from->bytes != to->bytes) from = at(context, node->inputs->data[1]); /* the first one was the shape */
  if (MODE == 4 && ++runs > 5) return 1;
  if (MODE == 5) abort();
  for (size_t i = 0; i < to->bytes; i++) to->data[i] = MODE == 3 ? (char)(i * 7) : from->data[i];
  return 0;
}

static int prepare(Context *context, void *self) {
  Ints *plan;
  Registration registration;
  if (MODE == 2 || context->plan(context, &plan)) return 1;
  Ints last = {1, {plan->data[plan->size - 1]}};
  memset(&registration, 0, sizeof registration);
  registration.invoke = invoke;
  return context->replace(context, registration, &last, self);
}

static Delegate only = {0, prepare, {0, 0, 0}, 0, 0};

void *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  (void)keys, (void)values, (void)count;
  if (MODE != 1) return &only;
  report("no such accelerator is plugged in");
  return NULL;
}

void tflite_plugin_destroy_delegate(void *delegate) { (void)delegate; }
