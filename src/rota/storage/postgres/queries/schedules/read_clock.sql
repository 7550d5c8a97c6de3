-- Changes that need a `now` take the store's (design law 4).
SELECT scheduler.current_time()
