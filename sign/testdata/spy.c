// A PKCS#11 module in front of another: it counts logins, and answers in the
// other's place what that never does, such as that a PIN is locked.
//
//   SPY_MODULE  the other module; one that is not there: every call fails
//   SPY_LOG     a file to which a line is added for each login
//   SPY_LOGIN   what C_Login answers (CK_RV); empty: the other does
//   SPY_SIGN    what C_SignInit answers; empty: the other does
//   SPY_FLAGS   flags that each token has besides its own
//   SPY_RW      how many read/write sessions each token takes

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long (*function)();

// CK_FUNCTION_LIST of PKCS #11 2.40: a version and 68 functions in their order.
struct list {
	unsigned char version[2];
	function f[68];
};

enum { GetFunctionList = 3, GetTokenInfo = 6, Login = 18, SignInit = 42 };

static struct list *other, own;

static unsigned long number(const char *name) {
	const char *value = getenv(name);
	return value ? strtoul(value, 0, 0) : 0;
}

static unsigned long broken() { return 5; } // CKR_GENERAL_ERROR

static unsigned long login(unsigned long session, unsigned long user, void *pin, unsigned long length) {
	FILE *log = fopen(getenv("SPY_LOG"), "a");
	if (!log) return broken();
	fputs("login\n", log);
	fclose(log);
	return number("SPY_LOGIN") ? number("SPY_LOGIN") : other->f[Login](session, user, pin, length);
}

static unsigned long signInit(unsigned long session, void *mechanism, unsigned long key) {
	return number("SPY_SIGN") ? number("SPY_SIGN") : other->f[SignInit](session, mechanism, key);
}

// CK_TOKEN_INFO: 96 bytes of text, then flags and numbers of sessions.
static unsigned long tokenInfo(unsigned long slot, unsigned char *info) {
	unsigned long result = other->f[GetTokenInfo](slot, info);
	unsigned long *numbers = (unsigned long *)(info + 96);
	numbers[0] |= number("SPY_FLAGS");
	if (number("SPY_RW")) numbers[3] = number("SPY_RW");
	return result;
}

unsigned long C_GetFunctionList(struct list **list) {
	if (!other) {
		void *module = dlopen(getenv("SPY_MODULE"), RTLD_NOW);
		function get = module ? (function)dlsym(module, "C_GetFunctionList") : 0;
		if (!get || get(&other)) {
			for (int i = 0; i < 68; i++) own.f[i] = (function)broken;
			*list = &own;
			return 0;
		}
		memcpy(&own, other, sizeof own);
		own.f[GetFunctionList] = (function)C_GetFunctionList;
		own.f[GetTokenInfo] = (function)tokenInfo;
		own.f[Login] = (function)login;
		own.f[SignInit] = (function)signInit;
	}
	*list = &own;
	return 0;
}
