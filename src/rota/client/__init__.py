"""The client of Rota's REST API that the command line uses: requests in, values or `ApiError` out."""
