/* What GMime needs to take messages apart, in the terms of the benchmark of
 * package pec: reads file names from standard input, one a line, loads them all,
 * parses each as often as the argument says, walks over all parts, and prints the
 * bytes and parts of one round and the CPU seconds of all of them as JSON. Contents are
 * not decoded.
 *
 * cc -O2 gmime.c $(pkg-config --cflags --libs gmime-3.0)
 */
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static double cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* parts counts an entity and all that lies in it. */
static long parts(GMimeObject *object)
{
	long n = 1;
	if (GMIME_IS_MULTIPART(object)) {
		GMimeMultipart *multipart = (GMimeMultipart *) object;
		for (int i = 0; i < g_mime_multipart_get_count(multipart); i++)
			n += parts(g_mime_multipart_get_part(multipart, i));
	} else if (GMIME_IS_MESSAGE_PART(object)) {
		GMimeMessage *message = g_mime_message_part_get_message((GMimeMessagePart *) object);
		if (message != NULL && g_mime_message_get_mime_part(message) != NULL)
			n += parts(g_mime_message_get_mime_part(message));
	}
	return n;
}

static long walk(GByteArray *raw)
{
	GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(raw);
	g_mime_stream_mem_set_owner((GMimeStreamMem *) stream, FALSE);
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);
	GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
	long n = 0;
	if (message != NULL) {
		if (g_mime_message_get_mime_part(message) != NULL)
			n = parts(g_mime_message_get_mime_part(message));
		g_object_unref(message);
	}
	g_object_unref(parser);
	g_object_unref(stream);
	return n;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1;
	GPtrArray *messages = g_ptr_array_new();
	char name[4096];
	long long bytes = 0;
	long n = 0;

	while (fgets(name, sizeof name, stdin) != NULL) {
		gchar *data;
		gsize size;
		GError *error = NULL;
		name[strcspn(name, "\n")] = 0;
		if (!g_file_get_contents(name, &data, &size, &error)) {
			fprintf(stderr, "%s\n", error->message);
			return 1;
		}
		g_ptr_array_add(messages, g_byte_array_new_take((guint8 *) data, size));
		bytes += size;
	}
	g_mime_init();
	double begun = cpu();
	for (int round = 0; round < rounds; round++) {
		n = 0;
		for (guint i = 0; i < messages->len; i++)
			n += walk(g_ptr_array_index(messages, i));
	}
	printf("{\"bytes\": %lld, \"parts\": %ld, \"cpu\": %.6f}\n", bytes, n, cpu() - begun);
	return 0;
}
